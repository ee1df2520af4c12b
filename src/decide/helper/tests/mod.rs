//! Helper pods as they would be created, and the rules that they keep.

mod seeder;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{ContainerState, Node, NodeReady};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{healthy_galera, stateful_set};

/// A template with everything that a helper must leave out, or take along with care.
fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "db"}},
        "spec": {
            "serviceAccountName": "db", "imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "db", "operator": "Exists"}],
            "securityContext": {"runAsUser": 999, "fsGroup": 999},
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
            "topologySpreadConstraints": [{"maxSkew": 1}],
            "initContainers": [
                {"name": "render", "image": "busybox", "volumeMounts": [
                    {"name": "rendered", "mountPath": "/out"}, {"name": "data", "mountPath": "/data"}]},
                {"name": "chown", "image": "busybox", "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            ],
            "containers": [
                {"name": "metrics", "image": "exporter"},
                {"name": "mariadb", "image": "mariadb:10.11", "command": ["docker-entrypoint.sh"],
                    "args": ["--wsrep-on=ON", "--wsrep_new_cluster"], "env": [{"name": "A", "value": "b"}],
                    "resources": {"limits": {"memory": "1Gi"}}, "livenessProbe": {"exec": {}}, "ports": [{"containerPort": 3306}],
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/var/lib/mysql", "subPath": "mysql"},
                        {"name": "rendered", "mountPath": "/etc/mysql/conf.d"},
                        {"name": "extra", "mountPath": "/extra"},
                        {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]},
            ],
            "volumes": [
                {"name": "rendered", "emptyDir": {}},
                {"name": "extra", "persistentVolumeClaim": {"claimName": "shared"}},
                {"name": "token", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}},
            ],
        },
    })
}

fn helper(kind: Kind, ordinal: u32, seen: &Snapshot) -> Helper {
    let template = template();
    let set = &seen.objects.stateful_set;
    let pod = seen.members[&Ordinal(ordinal)].pod.as_ref();
    Template { set, template: &template }.helper(Ordinal(ordinal), kind, pod, Some("/var/lib/mysql")).unwrap()
}

#[test]
fn an_inspector_can_write_nothing_and_is_taken_for_nothing() {
    let seen = healthy_galera();
    let helper = helper(Kind::Inspect, 1, &seen);
    let spec = &helper.job["spec"]["template"]["spec"];
    // No init container of the set, no command of it, no token, no probe, no sidecar (safety C1).
    assert_eq!(spec["initContainers"], json!([]));
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["containers"][0]["command"][0], "sh");
    for field in ["env", "livenessProbe", "ports", "args"] {
        assert!(spec["containers"][0][field].is_null(), "{field}");
    }
    assert_eq!(spec["automountServiceAccountToken"], false);
    let volumes = spec["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2, "claims only: {volumes:?}");
    assert!(volumes.iter().all(|volume| volume["persistentVolumeClaim"]["readOnly"] == true), "{volumes:?}");
    let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    assert_eq!(mounts[0]["subPath"], "mysql");
    assert!(helper.claims.iter().all(|(_, written)| !written), "{:?}", helper.claims);
    assert_eq!(helper.mounts, ["/var/lib/mysql", "/extra"]);
    // Where the volume is, as whom the server ran, with the image it really had.
    assert_eq!(
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchFields"]
            [0]["values"],
        json!(["node-1"])
    );
    assert!(spec["nodeName"].is_null() && spec["affinity"]["podAntiAffinity"].is_null());
    assert_eq!(spec["securityContext"]["runAsUser"], 999);
    assert_eq!(helper.image, "docker.io/library/mariadb@sha256:0123");
}

#[test]
fn a_recoverer_is_the_server_without_its_start() {
    let seen = healthy_galera();
    let helper = helper(Kind::Recover, 2, &seen);
    let spec = &helper.job["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let command: Vec<&str> = container["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // Options of the server, but none that would found a cluster.
    assert_eq!(command[3..], ["recover", "/var/lib/mysql", "--wsrep-on=ON"]);
    assert_eq!(spec["hostname"], "db-2");
    assert_eq!((&container["env"][0]["name"], &container["resources"]["limits"]["memory"]), (&json!("A"), &json!("1Gi")));
    assert!(container["livenessProbe"].is_null() && container["ports"].is_null());
    // What renders the configuration runs, and may write to no claim; what only touches the data does not run.
    let initial = spec["initContainers"].as_array().unwrap();
    assert_eq!(initial.len(), 1);
    assert_eq!((&initial[0]["name"], &initial[0]["volumeMounts"][1]["readOnly"]), (&json!("render"), &json!(true)));
    assert!(initial[0]["volumeMounts"][0]["readOnly"].is_null());
    let rendered = spec["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "rendered");
    assert_eq!(rendered, Some(&json!({"name": "rendered", "emptyDir": {}})), "of one type, or the API server refuses it");
    assert!(helper.claims.contains(&("data-db-2".to_owned(), true)), "{:?}", helper.claims);
}

#[test]
fn no_helper_carries_a_token_that_the_template_mounts_itself() {
    let seen = healthy_galera();
    for kind in [Kind::Inspect, Kind::Recover] {
        assert!(!helper(kind, 0, &seen).job.to_string().contains("serviceAccountToken"), "{kind:?}");
    }
}

#[test]
fn recovery_may_write_to_the_data_and_not_to_a_volume_of_configuration() {
    let mut seen = healthy_galera();
    seen.objects.stateful_set.claim_templates.push("galera".to_owned());
    let mut template = template();
    let mounts = template["spec"]["containers"][1]["volumeMounts"].as_array_mut().unwrap();
    mounts.push(json!({"name": "galera", "mountPath": "/etc/mysql/mariadb.conf.d"}));
    let helper = Template { set: &seen.objects.stateful_set, template: &template }
        .helper(Ordinal(1), Kind::Recover, None, Some("/var/lib/mysql"))
        .unwrap();
    let written = |claim: &str| helper.claims.iter().find(|(name, _)| name == claim).map(|(_, written)| *written);
    assert_eq!((written("data-db-1"), written("galera-db-1")), (Some(true), Some(false)), "{:?}", helper.claims);
}

#[test]
fn no_selector_of_the_set_finds_a_helper_and_no_set_adopts_it() {
    let seen = healthy_galera();
    for kind in [Kind::Inspect, Kind::Recover] {
        let helper = helper(kind, 0, &seen);
        let metadata = &helper.job["spec"]["template"]["metadata"];
        let labels = metadata["labels"].as_object().unwrap();
        let set = &seen.objects.stateful_set;
        assert!(set.selector.iter().any(|(key, value)| labels.get(key) != Some(&json!(value))), "{labels:?}");
        // Service meshes stay out.
        assert_eq!(metadata["annotations"]["linkerd.io/inject"], "disabled");
        assert_eq!(Ordinal::of_pod(&set.name, &helper.name), None);
        let owner = &helper.job["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["uid"], &owner["controller"]), (&json!(set.uid), &Value::Null));
        let spec = &helper.job["spec"];
        let lifetime = json!(kind.lifetime().as_secs());
        assert_eq!((&spec["activeDeadlineSeconds"], &spec["template"]["spec"]["activeDeadlineSeconds"]), (&lifetime, &lifetime));
        assert_eq!((&spec["backoffLimit"], &spec["template"]["spec"]["restartPolicy"]), (&json!(0), &json!("Never")));
        assert!(spec["ttlSecondsAfterFinished"].is_u64());
        assert_eq!(helper.pod()["metadata"]["name"], helper.name.as_str());
    }
}

#[test]
fn names_fit_however_long_the_set_is_called() {
    let mut set = stateful_set(1);
    set.name = "a".repeat(39) + "-" + &"b".repeat(20);
    let template = template();
    let helper = Template { set: &set, template: &template }
        .helper(Ordinal(4_000_000_000), Kind::Recover, None, Some("/var/lib/mysql"))
        .unwrap();
    assert!(helper.name.len() < 63 && !helper.name.contains("--"), "{}", helper.name);
    // The claims keep the whole name.
    assert!(helper.claims.iter().any(|(claim, _)| *claim == format!("data-{}-4000000000", set.name)), "{:?}", helper.claims);
}

#[test]
fn recovery_does_not_guess_where_the_data_is() {
    let (set, template) = (stateful_set(1), template());
    let made = Template { set: &set, template: &template }.helper(Ordinal(0), Kind::Recover, None, None);
    assert!(made.is_err_and(|why| why.contains("was not found")));
}

#[test]
fn a_tag_is_kept_where_no_digest_is_known() {
    let mut seen = healthy_galera();
    let database = &mut seen.members.get_mut(&Ordinal(0)).unwrap().pod.as_mut().unwrap().containers[0];
    database.image_id = "sha256:0123".to_owned();
    assert_eq!(helper(Kind::Inspect, 0, &seen).image, "mariadb:10.11");
    seen.members.get_mut(&Ordinal(0)).unwrap().pod = None;
    let helper = helper(Kind::Inspect, 0, &seen);
    assert_eq!((helper.image.as_str(), helper.node), ("mariadb:10.11", None));
    assert_eq!(helper.job["spec"]["template"]["spec"]["nodeSelector"]["disk"], "ssd");
}

#[test]
fn data_without_a_claim_has_no_helper() {
    let seen = healthy_galera();
    let mut template = template();
    template["spec"]["containers"][1]["volumeMounts"] = json!([{"name": "rendered", "mountPath": "/var/lib/mysql"}]);
    let refused = Template { set: &seen.objects.stateful_set, template: &template }.helper(Ordinal(0), Kind::Inspect, None, None);
    assert_eq!(refused.unwrap_err(), "its data is on no volume claim, so it died with its pod");
}

fn down(seen: &mut Snapshot, ordinal: u32) {
    let member = seen.members.get_mut(&Ordinal(ordinal)).unwrap();
    member.files = Fact::Unknown(Why::NotRunning("it waits".to_owned()));
    member.server = Fact::Unknown(Why::NotRunning("it waits".to_owned()));
    member.pod.as_mut().unwrap().containers[0].state =
        ContainerState::Waiting { reason: "CrashLoopBackOff".to_owned(), message: String::new() };
}

fn ordinals(plan: &Plan) -> (Vec<u32>, Vec<(u32, &str)>) {
    let helpers = plan.helpers.iter().map(|helper| helper.ordinal.0).collect();
    (helpers, plan.impossible.iter().map(|(ordinal, why)| (ordinal.0, why.as_str())).collect())
}

#[test]
fn helpers_are_planned_where_they_are_of_use() {
    let template = template();
    let inspected =
        |seen: &Snapshot| inspections(seen, Template { set: &seen.objects.stateful_set, template: &template }, &BTreeMap::new());
    let mut seen = healthy_galera();
    assert_eq!(ordinals(&inspected(&seen)), (vec![], vec![]));
    (0..3).for_each(|ordinal| down(&mut seen, ordinal));
    assert_eq!(ordinals(&inspected(&seen)), (vec![0, 1, 2], vec![]));
    let Fact::Known(nodes) = &mut seen.objects.nodes else { panic!("known") };
    nodes[1].ready = NodeReady::Silent { since: None };
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("known") };
    claims.remove(2);
    claims[0].phase = "Pending".to_owned();
    let impossible = vec![
        (0, "the volume claim data-db-0 has no volume (Pending)"),
        (1, "its node node-1 is silent"),
        (2, "there is no volume claim data-db-2"),
    ];
    assert_eq!(ordinals(&inspected(&seen)), (vec![], impossible));
}

/// The scheduler lets a second pod of a claim `ReadWriteOncePod` wait for ever: that is said, and not tried.
#[test]
fn a_volume_that_one_pod_alone_may_use_is_looked_at_beside_no_pod() {
    let template = template();
    let mut seen = healthy_galera();
    (0..3).for_each(|ordinal| down(&mut seen, ordinal));
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("known") };
    claims.iter_mut().for_each(|claim| claim.access_modes = vec!["ReadWriteOncePod".to_owned()]);
    let pod = |seen: &mut Snapshot, ordinal| seen.members.get_mut(&Ordinal(ordinal)).unwrap().pod.take().unwrap();
    pod(&mut seen, 0);
    let waits = pod(&mut seen, 1);
    seen.members.get_mut(&Ordinal(1)).unwrap().pod = Some(crate::model::kubernetes::Pod { node: None, ..waits });
    let set = &seen.objects.stateful_set;
    let plan = inspections(&seen, Template { set, template: &template }, &BTreeMap::new());
    let why = "one pod alone may use the volume claim data-db-2 (ReadWriteOncePod), and db-2 does";
    assert_eq!(ordinals(&plan), (vec![0, 1], vec![(2, why)]));
}

#[test]
fn a_volume_on_a_node_that_is_silent_is_waited_for_by_no_helper() {
    let template = template();
    let mut seen = healthy_galera();
    for ordinal in 0..3 {
        down(&mut seen, ordinal);
        seen.members.get_mut(&Ordinal(ordinal)).unwrap().pod = None;
    }
    let node = |name: &str, ready| Node { name: name.to_owned(), ready, cordoned: false, taints: Vec::new() };
    let homes = BTreeMap::from([
        ("data-db-0".to_owned(), node("node-0", NodeReady::Yes)),
        ("data-db-1".to_owned(), node("node-1", NodeReady::Silent { since: None })),
    ]);
    let plan = inspections(&seen, Template { set: &seen.objects.stateful_set, template: &template }, &homes);
    assert_eq!(ordinals(&plan), (vec![0, 2], vec![(1, "the volume of data-db-1 is on node node-1, which is silent")]));
}

#[test]
fn no_position_is_recovered_beside_a_running_container() {
    let template = template();
    let mut seen = healthy_galera();
    let known = seen.members[&Ordinal(2)].files.clone();
    down(&mut seen, 2);
    seen.members.get_mut(&Ordinal(2)).unwrap().files = known;
    let which: BTreeSet<Ordinal> = [1, 2].map(Ordinal).into();
    let plan = recoveries(&seen, Template { set: &seen.objects.stateful_set, template: &template }, &which);
    let why = "container mariadb runs: no position is recovered beside a server";
    assert_eq!(ordinals(&plan), (vec![2], vec![(1, why)]));
}

#[test]
fn the_recovery_script_is_posix_shell_and_refuses_what_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let datadir = folder.path();
    let run = || {
        let script = include_str!("../recover.sh");
        // No server is found there, whatever this machine has.
        let mut shell = std::process::Command::new("/bin/sh");
        let ended = shell.args(["-c", script, "recover"]).arg(datadir).env("PATH", datadir).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    assert!(run().contains("holds no database"));
    std::fs::create_dir(datadir.join("mysql")).unwrap();
    std::fs::write(datadir.join("ibdata1"), "").unwrap();
    std::fs::write(datadir.join("grastate.dat"), "").unwrap();
    assert!(run().contains("grastate.dat is empty"));
    std::fs::write(datadir.join("grastate.dat"), "uuid").unwrap();
    // A donor that was killed is whole.
    std::fs::write(datadir.join("wsrep_sst.pid"), "").unwrap();
    assert!(run().contains("the image has no mariadbd"));
    std::fs::write(datadir.join("sst_in_progress"), "").unwrap();
    assert!(run().contains("sst_in_progress shows a state transfer that was cut"));
}

fn state(seqno: Option<u64>, safe: bool) -> Grastate {
    let uuid = uuid::uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");
    Grastate { version: Some("2.1".to_owned()), uuid, seqno, safe_to_bootstrap: Some(safe) }
}

#[test]
fn a_writer_reaches_the_data_directory_and_nothing_else() {
    let seen = healthy_galera();
    let change = StateChange { before: Some(state(None, false)), after: Some(state(Some(58), true)) };
    let template = template();
    let helpers = Template { set: &seen.objects.stateful_set, template: &template };
    let helper = helpers.writer(Ordinal(1), None, "/var/lib/mysql", &change).unwrap();
    let spec = &helper.job["spec"]["template"]["spec"];
    assert_eq!(helper.claims, [("data-db-1".to_owned(), true)]);
    assert_eq!((spec["volumes"].as_array().unwrap().len(), &spec["initContainers"]), (1, &json!([])));
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["subPath"], "mysql");
    assert!(spec["containers"][0]["env"].is_null(), "no secret goes to a writer");
    assert_eq!(helper.name, "db-1-write");
}

/// Runs the script that writes in `datadir`; its exit code and its last line.
fn write(datadir: &std::path::Path, change: &StateChange) -> (Option<i32>, String) {
    let text = |state: &Option<Grastate>| state.as_ref().map(ToString::to_string).unwrap_or_default();
    let ended = std::process::Command::new("sh")
        .args(["-c", include_str!("../write.sh"), "write"])
        .arg(datadir)
        .args([text(&change.before), text(&change.after)])
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    (ended.status.code(), said.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn a_state_is_written_only_over_what_was_seen_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (datadir, file) = (folder.path(), folder.path().join("grastate.dat"));
    let killed = include_str!("../../../../tests/fixtures/galera-10.11/e4-after-kill9-grastate.dat");
    let change = StateChange { before: Some(Grastate::parse(killed).unwrap()), after: Some(state(Some(58), true)) };
    assert!(write(datadir, &change).1.ends_with("holds no database"));
    std::fs::create_dir(datadir.join("mysql")).unwrap();
    // As Galera pads a file that it has written anew.
    std::fs::write(&file, format!("{killed}   ")).unwrap();
    let done = (
        Some(0),
        "kubectl-mariadb: grastate.dat: uuid 2ec812f1-e4f6-11f1-ad8a-7a5c33de3170 seqno 58 safe_to_bootstrap 1 ".to_owned(),
    );
    assert_eq!(write(datadir, &change), done);
    assert_eq!(Grastate::parse(&std::fs::read_to_string(&file).unwrap()), Ok(state(Some(58), true)));
    assert_eq!(write(datadir, &change), done, "a step that is repeated changes nothing");
    assert_eq!(written(&done.1, &change), Ok(()));
    assert!(written(&done.1, &change.reversed()).is_err_and(|why| why.contains("now says")));
    assert!(written("", &change).is_err_and(|why| why.contains("not known")));
    assert_eq!(write(datadir, &change.reversed()).0, Some(0));
    assert_eq!(Grastate::parse(&std::fs::read_to_string(&file).unwrap()).ok(), change.before);
    std::fs::write(&file, state(Some(59), false).to_string()).unwrap();
    let (code, said) = write(datadir, &change);
    assert!(written(&said, &change).is_err_and(|why| why.starts_with("it was refused: grastate.dat says something else")));
    assert!(code == Some(3) && said.contains("says something else by now: uuid") && said.contains("seqno 59"), "{said}");
    assert_eq!(Grastate::parse(&std::fs::read_to_string(&file).unwrap()), Ok(state(Some(59), false)), "E4");
    // A file that was not there is not left behind.
    std::fs::remove_file(&file).unwrap();
    let new = StateChange { before: None, after: Some(state(Some(58), true)) };
    assert_eq!((write(datadir, &new).0, write(datadir, &new.reversed()).0, file.exists()), (Some(0), Some(0), false));
}

#[test]
fn a_pod_that_admission_changed_is_not_accepted() {
    let seen = healthy_galera();
    for kind in [Kind::Inspect, Kind::Recover] {
        let helper = helper(kind, 0, &seen);
        assert_eq!(accepted(&helper, &helper.pod()), Ok(()));
        let mut injected = helper.pod();
        injected["spec"]["initContainers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "istio-proxy", "restartPolicy": "Always"}));
        assert!(accepted(&helper, &injected).unwrap_err().contains("istio-proxy"));
    }
    let helper = helper(Kind::Inspect, 0, &seen);
    let mut writable = helper.pod();
    writable["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] = json!(false);
    assert!(accepted(&helper, &writable).is_err());
}
