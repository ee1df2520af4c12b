//! The bootstrap pod: one bare pod that founds the cluster on the volume of one ordinal. The switch is in this pod alone and
//! dies with it (safety A6).

use serde_json::{Value, json};

use crate::model::kubernetes::{Owner, StatefulSet};
use crate::model::names::Ordinal;

use super::founding::bootstrap_name;

/// A condition that nobody sets: the pod with this gate is never Ready, and no Service but the members' own leads to it.
const GATE: &str = "kubectl-mariadb/traffic";
/// Marks the bootstrap pod; the value is the set's name.
pub const LABEL: &str = "kubectl-mariadb/bootstrap";
/// Holds the switch, as the server's configuration writes it.
const SWITCH: &str = "kubectl-mariadb/bootstrap-switch";
const CONFIG: &str = "[galera]\nwsrep_new_cluster=ON\n";
/// Folders that the images of MariaDB include into the server's configuration.
const INCLUDES: [&str; 2] = ["/etc/mysql/conf.d", "/etc/mysql/mariadb.conf.d"];
const FILE: &str = "zz-kubectl-mariadb-bootstrap.cnf";
const VOLUME: &str = "kubectl-mariadb-bootstrap";
/// The image of the Bitnami chart founds a cluster when this says so, and reads no folder of includes.
const CHART_SWITCH: &str = "MARIADB_GALERA_CLUSTER_BOOTSTRAP";

/// The pod, made from the set's own template: the same containers, the name by which the others find it, the volumes of its
/// ordinal. No StatefulSet adopts a pod of this name, and nothing starts its containers again. `holds`: it is never Ready.
///
/// # Errors
/// Why it cannot be made, as one sentence.
pub fn pod(set: &StatefulSet, template: &Value, ordinal: Ordinal, holds: bool) -> Result<Value, String> {
    let own = ordinal.pod(&set.name);
    let mut labels = template["metadata"]["labels"].clone();
    if !labels.is_object() {
        return Err("the pod template has no labels".to_owned());
    }
    labels["statefulset.kubernetes.io/pod-name"] = json!(own);
    labels["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    labels[LABEL] = json!(set.name);
    let mut annotations = template["metadata"]["annotations"].clone();
    if !annotations.is_object() {
        annotations = json!({});
    }
    annotations[SWITCH] = json!(CONFIG);
    let mut spec = template["spec"].clone();
    spec["restartPolicy"] = json!("Never");
    spec["hostname"] = json!(own);
    spec["subdomain"] = json!(set.service_name);
    spec["volumes"] = json!(volumes(set, &spec, &own));
    if holds {
        let gates = spec["readinessGates"].as_array().into_iter().flatten().cloned();
        spec["readinessGates"] = gates.chain([json!({"conditionType": GATE})]).collect();
    }
    for kind in ["containers", "initContainers"] {
        spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten().for_each(|container| name_as(container, &own));
    }
    let name = set.layout.container.as_str();
    let containers = spec["containers"].as_array_mut();
    let database = containers.into_iter().flatten().find(|container| container["name"] == name);
    let database = database.ok_or_else(|| format!("the pod template has no container {name}"))?;
    if set.layout.chart.is_some() {
        set_variable(database, CHART_SWITCH, "yes");
    } else if set.owner.as_ref().and_then(Owner::operator).is_some() {
        // Its containers have no command of their own, and a file among its includes would stay on its volume.
        add_argument(database, "--wsrep-new-cluster")?;
    } else {
        mount_switch(database);
    }
    // Not as controller: then it would be a member of the set. The garbage collector removes it with the set.
    let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name, "uid": set.uid});
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": bootstrap_name(&set.name, ordinal), "labels": labels, "annotations": annotations, "ownerReferences": [owner],
        },
        "spec": spec,
    }))
}

fn volumes(set: &StatefulSet, spec: &Value, pod: &str) -> Vec<Value> {
    let claims = set.claim_templates.iter();
    let claims =
        claims.map(|template| json!({"name": template, "persistentVolumeClaim": {"claimName": format!("{template}-{pod}")}}));
    let is_claim = |volume: &&Value| set.claim_templates.iter().any(|template| volume["name"] == template.as_str());
    let others = spec["volumes"].as_array().into_iter().flatten().filter(|volume| !is_claim(volume)).cloned();
    let field = format!("metadata.annotations['{SWITCH}']");
    let switch = json!({"name": VOLUME, "downwardAPI": {"items": [{"path": FILE, "fieldRef": {"fieldPath": field}}]}});
    claims.chain(others).chain([switch]).collect()
}

/// Start scripts tell the member by the name of its pod, which is another one here.
fn name_as(container: &mut Value, pod: &str) {
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name" {
            *variable = json!({"name": variable["name"], "value": pod});
        }
    }
}

fn set_variable(container: &mut Value, name: &str, value: &str) {
    let own = json!({"name": name, "value": value});
    match container["env"].as_array_mut() {
        Some(variables) => {
            variables.retain(|variable| variable["name"] != name);
            variables.push(own);
        }
        None => container["env"] = json!([own]),
    }
}

fn add_argument(database: &mut Value, argument: &str) -> Result<(), String> {
    if database["command"].as_array().is_some_and(|command| !command.is_empty()) {
        return Err("the database container has a command of its own, which may leave arguments out".to_owned());
    }
    match database["args"].as_array_mut() {
        Some(arguments) => arguments.push(json!(argument)),
        None => database["args"] = json!([argument]),
    }
    Ok(())
}

/// As a file among the server's includes it reaches the server through any start script.
fn mount_switch(database: &mut Value) {
    let mount =
        |folder: &str| json!({"name": VOLUME, "mountPath": format!("{folder}/{FILE}"), "subPath": FILE, "readOnly": true});
    let mounts = INCLUDES.iter().map(|folder| mount(folder));
    match database["volumeMounts"].as_array_mut() {
        Some(own) => own.extend(mounts),
        None => database["volumeMounts"] = mounts.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kubernetes::{Chart, ChartKind};
    use crate::model::testing::healthy_galera;

    #[test]
    fn it_is_the_sets_pod_but_for_the_switch() {
        let set = healthy_galera().objects.stateful_set;
        let template = json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {
                "containers": [{"name": set.layout.container, "command": ["bash", "/start.sh"], "volumeMounts": [{"name": "data"}]}],
                "volumes": [{"name": "config", "configMap": {"name": "db"}}], "terminationGracePeriodSeconds": 60,
            },
        });
        let pod = pod(&set, &template, Ordinal(0), false).unwrap();
        assert_eq!(Ordinal::of_pod("db", pod["metadata"]["name"].as_str().unwrap()), None, "a set would adopt it");
        assert_eq!(pod["metadata"]["labels"]["app"], "db");
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["restartPolicy"]), (&json!("db-0"), &json!("Never")));
        assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 60);
        assert_eq!(pod["spec"]["containers"][0]["command"], template["spec"]["containers"][0]["command"]);
        let claims: Vec<&Value> = pod["spec"]["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        assert!(claims.contains(&&json!("config")) && claims.contains(&&json!(set.claim_templates[0])), "{claims:?}");
        assert!(pod["metadata"]["ownerReferences"][0]["controller"].is_null(), "it would be a member");
        assert!(pod["spec"].as_object().unwrap().values().all(|value| !value.is_null()), "{pod:#}");
        let none = json!({"metadata": {"labels": {}}, "spec": {"containers": []}});
        assert!(super::pod(&set, &none, Ordinal(0), false).is_err());
        let gates = &super::pod(&set, &template, Ordinal(0), true).unwrap()["spec"]["readinessGates"];
        assert_eq!((&pod["spec"]["readinessGates"], gates), (&Value::Null, &json!([{"conditionType": GATE}])));
    }

    #[test]
    fn the_bitnami_image_is_told_by_its_variable_and_by_the_name_of_its_member() {
        let mut set = healthy_galera().objects.stateful_set;
        set.layout.chart = Some(Chart { kind: ChartKind::BitnamiGalera, version: None });
        let name = json!({"name": "MY_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        let address = json!({"name": "MY_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
        let no = json!({"name": CHART_SWITCH, "value": "no"});
        let container = json!({"name": set.layout.container, "env": [name, address, no]});
        let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container]}});
        let pod = pod(&set, &template, Ordinal(1), false).unwrap();
        let yes = json!({"name": CHART_SWITCH, "value": "yes"});
        assert_eq!(pod["spec"]["containers"][0]["env"], json!([{"name": "MY_POD_NAME", "value": "db-1"}, address, yes]));
        assert!(pod["spec"]["containers"][0]["volumeMounts"].is_null(), "the image reads no such folder");
    }
}
