//! The Job of a helper pod, made from the pod template of the set.

use serde_json::{Value, json};

use crate::model::grastate::Grastate;
use crate::model::kubernetes::{Pod, StatefulSet};
use crate::model::names::Ordinal;

use super::{Helper, Kind, StateChange};

/// The container of a helper pod that does the work.
pub const CONTAINER: &str = "helper";
/// Marks every helper pod and Job; the value is its kind. No Service, PodDisruptionBudget or set selects by it.
pub const HELPER_LABEL: &str = "kubectl-mariadb/helper";
/// The set a helper belongs to.
pub const SET_LABEL: &str = "kubectl-mariadb/set";

/// How long a Job stays after its end, so that its log can be read.
const KEPT_SECONDS: u64 = 60;

/// Names of Jobs are limited to 63 characters, and their pods get five more.
const LONGEST_SET: usize = 40;

/// Waits to be asked; ends at once when told to.
const WAIT: &str = "trap 'exit 0' TERM INT; sleep \"$1\" & wait";

/// Runs position recovery with the set's own options. Checks once more what was checked before: the directory may have
/// changed since.
const RECOVER: &str = include_str!("recover.sh");

/// Writes `grastate.dat` if it still says what was seen, and prints what it says then.
const WRITE: &str = include_str!("write.sh");

/// Marks a data directory as one whose data must not be trusted, whatever runs on it.
const RESET: &str = include_str!("reset.sh");

/// Asks the server of an image for its version.
const TRY: &str = "for server in mariadbd mysqld /usr/sbin/mariadbd /opt/bitnami/mariadb/sbin/mariadbd /opt/bitnami/mariadb/sbin/mysqld; do \
                   command -v \"$server\" >/dev/null 2>&1 && exec \"$server\" --no-defaults --version; done; echo 'no server program is in the usual places'";

/// `spec.template` of the set, and what of the set shapes its pods.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    pub set: &'a StatefulSet,
    /// `spec.template` as the API server wrote it.
    pub template: &'a Value,
}

impl Template<'_> {
    /// A helper for one ordinal. `pod`: the ordinal's pod, if there is one; `datadir`: as the inspection found it.
    ///
    /// # Errors
    /// Why it cannot be made, as one sentence.
    pub fn helper(&self, ordinal: Ordinal, kind: Kind, pod: Option<&Pod>, datadir: Option<&str>) -> Result<Helper, String> {
        let database = self.database()?;
        let image = self.image(database, pod);
        let container = if kind == Kind::Recover {
            let datadir = datadir.ok_or("where its data directory is was not found; recovery would look in another one")?;
            recoverer(database, &image, datadir)
        } else {
            let command = json!(["sh", "-c", WAIT, "sh", kind.lifetime().as_secs().to_string()]);
            small(database, &image, &command, self.claimed(ordinal, kind, database), true)
        };
        self.assembled(ordinal, kind, pod, &image, &container)
    }

    /// A helper that makes `change` in the data directory of one ordinal.
    ///
    /// # Errors
    /// Why it cannot be made, as one sentence.
    pub fn writer(&self, ordinal: Ordinal, pod: Option<&Pod>, datadir: &str, change: &StateChange) -> Result<Helper, String> {
        let text = |state: &Option<Grastate>| state.as_ref().map(ToString::to_string).unwrap_or_default();
        let command = json!(["sh", "-c", WRITE, "write", datadir, text(&change.before), text(&change.after)]);
        self.changer(ordinal, Kind::Write, pod, datadir, &command)
    }

    /// A helper that takes the position from the data directory of one ordinal.
    ///
    /// # Errors
    /// Why it cannot be made, as one sentence.
    pub fn resetter(&self, ordinal: Ordinal, pod: Option<&Pod>, datadir: &str) -> Result<Helper, String> {
        let command = json!(["sh", "-c", RESET, "reset", datadir, Grastate::distrusted().to_string()]);
        self.changer(ordinal, Kind::Reset, pod, datadir, &command)
    }

    /// A helper that starts `image` without any volume.
    ///
    /// # Errors
    /// Why it cannot be made, as one sentence.
    pub fn trier(&self, image: &str) -> Result<Helper, String> {
        let (database, kind, ordinal) = (self.database()?, Kind::Try, Ordinal(self.set.start));
        let mut container = small(database, image, &json!(["sh", "-c", TRY]), Vec::new(), true);
        if !database["imagePullPolicy"].is_null() {
            container["imagePullPolicy"] = database["imagePullPolicy"].clone();
        }
        let mut spec = self.pod_spec(None);
        spec["containers"] = json!([container]);
        spec["activeDeadlineSeconds"] = json!(kind.lifetime().as_secs());
        let name = helper_name(&self.set.name, ordinal, kind);
        let (job, containers) = (self.job(&name, kind, &spec), vec![CONTAINER.to_owned()]);
        Ok(Helper {
            job,
            name,
            ordinal,
            kind,
            claims: Vec::new(),
            node: None,
            mounts: Vec::new(),
            image: image.to_owned(),
            containers,
        })
    }

    pub(super) fn changer(
        &self,
        ordinal: Ordinal,
        kind: Kind,
        pod: Option<&Pod>,
        datadir: &str,
        command: &Value,
    ) -> Result<Helper, String> {
        let database = self.database()?;
        let image = self.image(database, pod);
        let on_data = |mount: &&Value| mount["mountPath"].as_str().is_some_and(|path| is_under(datadir, path));
        let mounts = self.claimed(ordinal, kind, database).into_iter().filter(on_data).collect();
        let container = small(database, &image, command, mounts, false);
        self.assembled(ordinal, kind, pod, &image, &container)
    }

    pub(super) fn database(&self) -> Result<&Value, String> {
        let name = self.set.layout.container.as_str();
        let database = list(&self.template["spec"]["containers"]).find(|container| container["name"] == name);
        database.ok_or_else(|| format!("the pod template has no container {name}"))
    }

    /// Mounts of the database container that are on claims.
    fn claimed<'a>(&self, ordinal: Ordinal, kind: Kind, database: &'a Value) -> Vec<&'a Value> {
        let volumes = self.volumes(ordinal, kind);
        let on_claim = |mount: &&Value| volumes.iter().any(|volume| volume["name"] == mount["name"] && is_claim(volume));
        list(&database["volumeMounts"]).filter(on_claim).collect()
    }

    /// The helper around its one container.
    fn assembled(
        &self,
        ordinal: Ordinal,
        kind: Kind,
        pod: Option<&Pod>,
        image: &str,
        container: &Value,
    ) -> Result<Helper, String> {
        let database = self.database()?;
        let claimed = self.claimed(ordinal, kind, database);
        let mounts: Vec<String> = claimed.iter().filter_map(|mount| mount["mountPath"].as_str()).map(str::to_owned).collect();
        let volumes = self.volumes(ordinal, kind);
        if mounts.is_empty() {
            return Err("its data is on no volume claim, so it died with its pod".to_owned());
        }
        let mut spec = self.pod_spec(pod);
        let initial = if kind == Kind::Recover { self.initial(database) } else { Vec::new() };
        let used: Vec<&str> = std::iter::once(container)
            .chain(&initial)
            .flat_map(|container| list(&container["volumeMounts"]))
            .filter_map(|mount| mount["name"].as_str())
            .collect();
        let volumes: Vec<Value> =
            volumes.into_iter().filter(|volume| volume["name"].as_str().is_some_and(|name| used.contains(&name))).collect();
        let claims = volumes.iter().filter_map(|volume| Some((volume["persistentVolumeClaim"]["claimName"].as_str()?, volume)));
        let claims = claims.map(|(claim, volume)| (claim.to_owned(), is_written(container, volume))).collect();
        if kind == Kind::Recover {
            // Wrapper scripts read the ordinal from it.
            spec["hostname"] = json!(ordinal.pod(&self.set.name));
        }
        let containers = std::iter::once(container).chain(&initial).filter_map(|one| one["name"].as_str()).map(str::to_owned);
        let containers = containers.collect();
        spec["containers"] = json!([container]);
        spec["initContainers"] = json!(initial);
        spec["volumes"] = json!(volumes);
        spec["activeDeadlineSeconds"] = json!(kind.lifetime().as_secs());
        let name = helper_name(&self.set.name, ordinal, kind);
        let node = pod.and_then(|pod| pod.node.clone());
        let image = image.to_owned();
        Ok(Helper { job: self.job(&name, kind, &spec), name, ordinal, kind, claims, node, mounts, image, containers })
    }

    fn job(&self, name: &str, kind: Kind, spec: &Value) -> Value {
        // Labels and annotations that switch the injection of a mesh's sidecar off: with one the pod would never end.
        let labels = json!({
            HELPER_LABEL: kind.name(),
            SET_LABEL: shortened(&self.set.name),
            "app.kubernetes.io/managed-by": "kubectl-mariadb",
            "sidecar.istio.io/inject": "false",
            "kuma.io/sidecar-injection": "disabled",
        });
        let annotations = json!({
            "sidecar.istio.io/inject": "false",
            "linkerd.io/inject": "disabled",
            "consul.hashicorp.com/connect-inject": "false",
            "kubectl-mariadb/stateful-set": self.set.name,
        });
        // Not as controller: then it would be a member. The garbage collector removes it with the set.
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": self.set.name, "uid": self.set.uid});
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "labels": labels, "annotations": annotations, "ownerReferences": [owner]},
            "spec": {
                "parallelism": 1, "completions": 1, "backoffLimit": 0,
                // Also for a pod that never gets a node; a pod's own deadline begins only there.
                "activeDeadlineSeconds": kind.lifetime().as_secs(),
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
            },
        })
    }

    /// What of the template's pod a helper keeps: where it may run and as whom. No affinity between pods, no probes.
    fn pod_spec(&self, pod: Option<&Pod>) -> Value {
        const KEPT: [&str; 8] = [
            "nodeSelector",
            "tolerations",
            "imagePullSecrets",
            "securityContext",
            "serviceAccountName",
            "priorityClassName",
            "runtimeClassName",
            "schedulerName",
        ];
        let from = &self.template["spec"];
        let mut spec = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 5,
        });
        for field in KEPT.into_iter().filter(|field| !from[*field].is_null()) {
            spec[field] = from[field].clone();
        }
        let node = pod.and_then(|pod| pod.node.as_deref());
        if let Some(node) = node {
            // By affinity and not by `nodeName`, which passes the scheduler by and with it limits and taints (safety C2).
            let here = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
            spec["affinity"] =
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}});
            if let Some(spec) = spec.as_object_mut() {
                spec.remove("nodeSelector");
            }
        } else if !from["affinity"]["nodeAffinity"].is_null() {
            spec["affinity"] = json!({"nodeAffinity": from["affinity"]["nodeAffinity"]});
        }
        spec
    }

    /// The image that the ordinal's container really ran, if it is known by digest: a tag may mean another one by now.
    fn image(&self, database: &Value, pod: Option<&Pod>) -> String {
        let container = pod.and_then(|pod| pod.containers.iter().find(|container| container.name == self.set.layout.container));
        let id = container.map(|container| container.image_id.trim_start_matches("docker-pullable://"));
        // Without a name before it, a digest is known to one node only and cannot be pulled.
        let by_digest = id.filter(|id| id.split_once("@sha256:").is_some_and(|(name, _)| !name.is_empty()));
        by_digest.or(database["image"].as_str()).unwrap_or_default().to_owned()
    }

    /// The volumes of the pod of this ordinal. An inspector may write to no claim.
    fn volumes(&self, ordinal: Ordinal, kind: Kind) -> Vec<Value> {
        let read_only = kind == Kind::Inspect;
        let of_template = self.set.claim_templates.iter().map(|template| {
            let claim = format!("{template}-{}", ordinal.pod(&self.set.name));
            json!({"name": template, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}})
        });
        let named = |volume: &&Value| !self.set.claim_templates.iter().any(|template| volume["name"] == template.as_str());
        let of_pod = list(&self.template["spec"]["volumes"]).filter(named).map(|volume| {
            let mut volume = volume.clone();
            if is_claim(&volume) && read_only {
                volume["persistentVolumeClaim"]["readOnly"] = json!(true);
            }
            // mariadb-operator mounts its token itself, whatever `automountServiceAccountToken` says.
            if let Some(sources) = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut) {
                sources.retain(|source| source["serviceAccountToken"].is_null());
            }
            volume
        });
        of_template.chain(of_pod).collect()
    }

    /// Init containers that prepare what the database container reads from a volume of the pod itself, such as a rendered
    /// configuration. They may write there and to no claim.
    fn initial(&self, database: &Value) -> Vec<Value> {
        let own: Vec<&Value> = list(&self.template["spec"]["volumes"]).filter(|volume| !volume["emptyDir"].is_null()).collect();
        let shares = |container: &&Value, with: &Value| {
            list(&container["volumeMounts"])
                .any(|mount| own.iter().any(|volume| volume["name"] == mount["name"]) && mounts(with, &mount["name"]))
        };
        list(&self.template["spec"]["initContainers"])
            .filter(|container| container["restartPolicy"] != "Always" && shares(container, database))
            .map(|container| {
                let mut container = container.clone();
                let claims = |name: &Value| self.set.claim_templates.iter().any(|template| name == template.as_str());
                let volumes = &self.template["spec"]["volumes"];
                for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
                    let named = list(volumes).any(|volume| volume["name"] == mount["name"] && is_claim(volume));
                    if named || claims(&mount["name"]) {
                        mount["readOnly"] = json!(true);
                    }
                }
                container
            })
            .collect()
    }
}

/// A container that needs next to nothing: the claims of the database container, and its user.
fn small(database: &Value, image: &str, command: &Value, mounts: Vec<&Value>, read_only: bool) -> Value {
    let mounted = |mount: &Value| {
        let mut mount = mount.clone();
        mount["readOnly"] = json!(read_only);
        mount
    };
    let mut container = json!({
        "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent",
        "command": command,
        "volumeMounts": mounts.into_iter().map(mounted).collect::<Vec<_>>(),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
    });
    if !database["securityContext"].is_null() {
        container["securityContext"] = database["securityContext"].clone();
    }
    container
}

fn recoverer(database: &Value, image: &str, datadir: &str) -> Value {
    let mut container = json!({
        "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", RECOVER, "recover", datadir],
    });
    for field in ["env", "envFrom", "volumeMounts", "resources", "securityContext", "workingDir", "volumeDevices"] {
        if !database[field].is_null() {
            container[field] = database[field].clone();
        }
    }
    // A claim there holds configuration, such as mariadb-operator's: the server reads it, and nobody is to write it now.
    for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
        if mount["mountPath"].as_str().is_some_and(|path| path.starts_with("/etc/")) {
            mount["readOnly"] = json!(true);
        }
    }
    let options = list(&database["command"]).chain(list(&database["args"])).filter_map(Value::as_str);
    // Options of the server itself; a new cluster is founded by nobody here.
    let own = options.filter(|word| word.starts_with("--") && !word.replace('_', "-").starts_with("--wsrep-new-cluster"));
    let words: Vec<Value> = own.map(|word| json!(word)).collect();
    if let Some(command) = container["command"].as_array_mut() {
        command.extend(words);
    }
    container
}

fn is_written(container: &Value, volume: &Value) -> bool {
    volume["persistentVolumeClaim"]["readOnly"] != json!(true)
        && list(&container["volumeMounts"]).any(|mount| mount["name"] == volume["name"] && mount["readOnly"] != json!(true))
}

fn mounts(container: &Value, name: &Value) -> bool {
    list(&container["volumeMounts"]).any(|mount| mount["name"] == *name)
}

/// Whether a directory is `folder` or lies in it.
fn is_under(directory: &str, folder: &str) -> bool {
    std::path::Path::new(directory).starts_with(folder)
}

fn is_claim(volume: &Value) -> bool {
    !volume["persistentVolumeClaim"].is_null()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The same for every run: a second one finds the first at work. It is none that a set gives its pods (`SET-N`).
fn helper_name(set: &str, ordinal: Ordinal, kind: Kind) -> String {
    format!("{}-{}", ordinal.pod(shortened(set)), kind.name())
}

fn shortened(set: &str) -> &str {
    let end = set.char_indices().map(|(at, _)| at).nth(LONGEST_SET).unwrap_or(set.len());
    set[..end].trim_end_matches(['-', '.'])
}
