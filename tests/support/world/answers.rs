//! What the API server of the model world answers to a request.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::server::{Answer, Request};
use super::{Cluster, Shared, World, objects, volumes, watches};

impl World {
    fn collect(&self, scope: Option<&str>, objects: impl Fn(&Cluster) -> Vec<Value>) -> Vec<Value> {
        self.clusters
            .iter()
            .filter(|cluster| scope.is_none_or(|namespace| cluster.namespace == namespace))
            .flat_map(objects)
            .collect()
    }

    pub(super) fn objects(&self, group: &str, resource: &str, scope: Option<&str>) -> Option<Vec<Value>> {
        let operated = |cluster: &Cluster| cluster.operator.as_ref().is_some_and(|operator| operator.group == group);
        if group != "batch" && self.clusters.iter().any(operated) {
            let own = |cluster: &Cluster| if operated(cluster) { cluster.operator_objects(resource) } else { Vec::new() };
            return Some(self.collect(scope, own));
        }
        Some(match resource {
            "jobs" => self.collect(scope, |cluster| cluster.operator.as_ref().map_or_else(Vec::new, |it| it.jobs.clone())),
            "statefulsets" => self.collect(scope, |cluster| {
                let is_made = cluster.operator.as_ref().is_none_or(|operator| !operator.without_set);
                if is_made { vec![cluster.stateful_set()] } else { Vec::new() }
            }),
            "pods" => {
                let given = self.clusters.iter().flat_map(|cluster| cluster.seeding.given.keys().copied()).collect();
                [self.collect(scope, Cluster::pods), self.helpers.pods(scope, &given)].concat()
            }
            "persistentvolumeclaims" => self.collect(scope, Cluster::claims),
            "services" => self.collect(scope, Cluster::services),
            "endpointslices" => self.collect(scope, Cluster::endpoint_slices),
            "events" => self.collect(scope, Cluster::events),
            "deployments" => self.operators.iter().map(|image| objects::operator(image)).collect(),
            "namespaces" => {
                let names: BTreeSet<&String> = self.clusters.iter().map(|cluster| &cluster.namespace).collect();
                names.into_iter().map(|name| json!({ "metadata": { "name": name } })).collect()
            }
            "poddisruptionbudgets" => self.collect(scope, Cluster::budgets),
            "persistentvolumes" => self.collect(None, Cluster::volumes),
            "storageclasses" => self.clusters.first().map(|cluster| cluster.volumes.class()).into_iter().collect(),
            "secrets" => {
                let here = |secret: &&Value| scope.is_none_or(|namespace| secret["metadata"]["namespace"] == namespace);
                self.secrets.iter().filter(here).cloned().collect()
            }
            "configmaps" => self.config_maps.objects(scope),
            "horizontalpodautoscalers" => self.horizontal.clone(),
            "verticalpodautoscalers" if !self.vertical.is_empty() => self.vertical.clone(),
            "nodes" => self.nodes.iter().map(|(name, node)| node.object(name)).collect(),
            _ => return None,
        })
    }
}

impl Shared {
    /// What the API server of this world says.
    pub fn answer(&self, request: &Request) -> Answer {
        let mut world = self.peek();
        if let Some((code, words)) = world.down {
            return Answer::error(code, words);
        }
        if request.path == "/version" {
            return Answer::Json(json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.4" }));
        }
        if request.path == "/apis" {
            let groups: BTreeSet<&str> = world.clusters.iter().filter_map(|it| Some(it.operator.as_ref()?.group)).collect();
            let groups: Vec<Value> = groups.into_iter().map(|name| json!({ "name": name })).collect();
            return Answer::Json(json!({ "groups": groups }));
        }
        let Some(asked) = Asked::of(request) else {
            return Answer::error(404, "the server could not find the requested resource");
        };
        if let Some(refusal) = asked.refusal(&world) {
            return refusal;
        }
        if let Some(answer) = volumes::answer(&mut world, &asked, request) {
            return answer;
        }
        if let Some(answer) = self.operations(&mut world, &asked, request) {
            return answer;
        }
        if let Some(answer) = self.helpers(&mut world, &asked, request) {
            return answer;
        }
        if asked.resource == "pods/exec" {
            return self.exec(&world, &asked);
        }
        if asked.verb == "watch" {
            return watches::answer(self, &world, &asked, request);
        }
        let Some(objects) = world.objects(&asked.group, &asked.resource, asked.namespace.as_deref()) else {
            return Answer::error(404, "the server could not find the requested resource");
        };
        match &asked.name {
            None => {
                let (version, items) = (self.version(), selected(objects, request));
                world.told.note(request, version, &items);
                Answer::Json(json!({ "metadata": { "resourceVersion": version.to_string() }, "items": items }))
            }
            Some(name) => match objects.into_iter().find(|object| object["metadata"]["name"] == name.as_str()) {
                Some(object) => Answer::Json(object),
                None => Answer::error(404, format!("{} \"{name}\" not found", asked.resource)),
            },
        }
    }
}

/// A request taken apart.
pub struct Asked {
    /// Empty for the core group.
    pub group: String,
    pub verb: &'static str,
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Asked {
    pub fn of(request: &Request) -> Option<Self> {
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, parts) = match parts.as_slice() {
            ["api", _, parts @ ..] => ("", parts),
            ["apis", group, _, parts @ ..] => (*group, parts),
            _ => return None,
        };
        let (namespace, parts) = match parts {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (resource, name) = match parts {
            [resource] => ((*resource).to_owned(), None),
            [resource, name] => ((*resource).to_owned(), Some((*name).to_owned())),
            [resource, name, part] => (format!("{resource}/{part}"), Some((*name).to_owned())),
            _ => return None,
        };
        let watches = request.query("watch").is_some_and(|value| value == "true");
        let verb = match request.method.as_str() {
            "POST" => "create",
            "DELETE" => "delete",
            _ if watches => "watch",
            "PATCH" => "patch",
            _ if name.is_some() => "get",
            _ => "list",
        };
        Some(Self { group: group.to_owned(), verb, resource, namespace, name })
    }

    /// 403 in the words of the API server, if the right is denied.
    fn refusal(&self, world: &World) -> Option<Answer> {
        let Self { verb, resource, .. } = self;
        world.denied.contains(format!("{verb} {resource}").as_str()).then(|| {
            let name = self.name.as_ref().map_or_else(String::new, |name| format!(" \"{name}\""));
            let scope = match &self.namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".to_owned(),
            };
            let words = format!(
                "{resource}{name} is forbidden: User \"someone\" cannot {verb} resource \"{resource}\" in API group \"{}\" {scope}",
                self.group
            );
            Answer::error(403, words)
        })
    }
}

/// The label selectors the program uses: `key`, `key=value`, `key in (a,b)`.
pub fn selected(mut objects: Vec<Value>, request: &Request) -> Vec<Value> {
    if let Some(name) = request.query("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name=")) {
        objects.retain(|object| object["metadata"]["name"] == name);
    }
    let Some(selector) = request.query("labelSelector") else { return objects };
    let matches = |object: &Value| {
        let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
        if let Some((key, values)) = selector.split_once(" in (") {
            return label(key).is_some_and(|own| values.trim_end_matches(')').split(',').any(|value| value == own));
        }
        match selector.split_once('=') {
            Some((key, value)) => label(key) == Some(value),
            None => label(selector).is_some(),
        }
    };
    objects.into_iter().filter(matches).collect()
}
