//! Tables of what belongs to whom, what may go, and what can grow.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::decide::finding::NextCommand;
use crate::decide::operation::custody::{Autoscaler, Custody};
use crate::decide::operation::plan::{Loss, Refusal};
use crate::model::disk::{Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::kubernetes::{Mount, VolumeSource};
use crate::model::manager::Manager;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{
    disk, galera_of, healthy_galera, healthy_replication, operator_view, server_of, silence, single, split_brain, stateful_set,
};
use crate::model::volumes::{StorageClass, Volume};

use super::belongs::{By, belongs};
use super::data_template;
use super::expand::{Expansion, expansion, is_shown};
use super::list::{Seen, Stands, Verdict, entries};
use super::logs::Logs;
use super::prune::{
    Fate, Leftover, Mounts, Survivors, fate, leftovers, of_the_set, same_history, survivors, survivors_of_both, to_read,
};

fn volume(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        labels: BTreeMap::new(),
        deletion: None,
        deleted_with: None,
        phase: "Bound".to_owned(),
        requested: Some("1Gi".to_owned()),
        capacity: Some("1Gi".to_owned()),
        class: Some("standard".to_owned()),
        volume: Some(format!("pv-{name}")),
        conditions: Vec::new(),
        resize: None,
    }
}

fn volumes(count: u32) -> Vec<Volume> {
    (0..count).map(|ordinal| volume(&format!("data-db-{ordinal}"))).collect()
}

fn labelled(name: &str, key: &str, value: &str) -> Volume {
    Volume { labels: BTreeMap::from([(key.to_owned(), value.to_owned())]), ..volume(name) }
}

#[test]
fn a_claim_is_somebodys_by_template_by_label_or_by_its_name_alone() {
    let mut set = stateful_set(3);
    set.claim_templates = vec!["data".to_owned(), "log-bin".to_owned()];
    let sets = [&set];
    let all: BTreeSet<String> = ["db", "web"].map(str::to_owned).into();
    let of = |claim: &Volume, all: Option<&BTreeSet<String>>| {
        belongs(claim, &sets, all).map(|found| (found.set, found.ordinal.0, found.by))
    };
    let template = |name: &str| By::Template(name.to_owned());
    assert_eq!(of(&volume("data-db-7"), Some(&all)), Some(("db".to_owned(), 7, template("data"))));
    assert_eq!(of(&volume("log-bin-db-0"), None), Some(("db".to_owned(), 0, template("log-bin"))));
    // Of a set that is gone.
    assert_eq!(of(&volume("data-old-1"), Some(&all)), Some(("old".to_owned(), 1, By::Name)));
    assert_eq!(of(&volume("data-old-1"), None), None, "without a list of sets it may be there");
    let operated = labelled("galera-shop-2", "pvc.k8s.mariadb.com/role", "config");
    let label = By::Label("label pvc.k8s.mariadb.com/role=config".to_owned());
    assert_eq!(of(&operated, None), Some(("shop".to_owned(), 2, label)));
    let chart = labelled("data-my-mariadb-0", "app.kubernetes.io/name", "mariadb-galera");
    let label = By::Label("label app.kubernetes.io/name=mariadb-galera".to_owned());
    assert_eq!(of(&chart, Some(&all)), Some(("my-mariadb".to_owned(), 0, label)));
    for other in [
        volume("data-web-0"),
        volume("uploads-old-0"),
        volume("data-0"),
        volume("data--0"),
        volume("data-old-01"),
        volume("data-old"),
        labelled("data-old-0", "app.kubernetes.io/name", "postgresql"),
    ] {
        assert_eq!(of(&other, Some(&all)), None, "{}", other.name);
    }
}

#[test]
fn the_data_is_where_the_server_says_or_where_the_template_makes_it_likely() {
    let mut seen = healthy_galera();
    let set = &mut seen.objects.stateful_set;
    let mount =
        |path: &str, volume: &str| Mount { path: path.to_owned(), volume: volume.to_owned(), source: VolumeSource::Claim };
    set.claim_templates = vec!["galera".to_owned(), "storage".to_owned()];
    set.layout.mounts = vec![mount("/etc/mysql/conf.d", "galera"), mount("/var/lib/mysql", "storage")];
    assert_eq!(data_template(&seen), Some("storage"));
    for member in seen.members.values_mut() {
        member.files = Fact::Unknown(Why::NotAsked);
    }
    assert_eq!(data_template(&seen), Some("galera"), "the first mount is the most likely one");
    seen.objects.stateful_set.layout.mounts[0].source = VolumeSource::EmptyDir;
    assert_eq!(data_template(&seen), Some("storage"));
    seen.objects.stateful_set.claim_templates.clear();
    assert_eq!(data_template(&seen), None, "a claim that the pod template names is nobody's ordinal");
}

fn nobody() -> Custody {
    Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Known(Vec::new()) }
}

fn operated(change: impl FnOnce(&mut crate::model::operator::OperatorView)) -> Snapshot {
    let mut seen = healthy_galera();
    let mut view = operator_view();
    change(&mut view);
    let owner = crate::model::kubernetes::Owner {
        api_version: "k8s.mariadb.com/v1alpha1".to_owned(),
        kind: "MariaDB".to_owned(),
        name: "db".to_owned(),
        uid: view.uid.clone(),
    };
    seen.objects.stateful_set.owner = Some(owner);
    seen.objects.manager = Manager::of(&seen.objects.stateful_set, Fact::Known(Some(view)));
    seen
}

fn code(refusal: Option<Refusal>) -> Option<&'static str> {
    refusal.map(|refusal| refusal.rule.code)
}

#[test]
fn nothing_is_left_over_of_a_set_that_does_not_run_what_is_wanted() {
    type Change = fn(&mut Snapshot);
    let changes: [(Change, Option<&str>); 4] = [
        (|_| {}, None),
        (|seen| seen.objects.stateful_set.replicas = 0, Some("MDB755")),
        (|seen| seen.objects.stateful_set.generation += 1, Some("MDB755")),
        (|seen| seen.objects.stateful_set.deletion = Some(seen.taken), Some("MDB705")),
    ];
    for (change, expected) in changes {
        let mut seen = healthy_galera();
        change(&mut seen);
        assert_eq!(code(of_the_set(&seen, None, &nobody()).unwrap()), expected);
    }
    let wants_more = operated(|view| view.spec.replicas = 5);
    assert_eq!(code(of_the_set(&wants_more, None, &nobody()).unwrap()), Some("MDB755"));
    assert_eq!(code(of_the_set(&operated(|_| {}), None, &nobody()).unwrap()), None);
    let mut unread = operated(|_| {});
    let why = Why::Forbidden("get mariadbs".to_owned());
    unread.objects.manager = Manager::of(&unread.objects.stateful_set, Fact::Unknown(why.clone()));
    assert_eq!(of_the_set(&unread, None, &nobody()), Err(why), "what it wants is not known");
    let scaled = Custody { horizontal: Fact::Known(vec![Autoscaler::Keda("shop".to_owned())]), ..nobody() };
    assert_eq!(code(of_the_set(&healthy_galera(), None, &scaled).unwrap()), Some("MDB704"));
}

#[test]
fn members_are_judged_one_by_one_and_all_together() {
    assert!(matches!(survivors(&healthy_galera()), Ok(Survivors::Galera { .. })));
    assert!(matches!(survivors(&healthy_replication()), Ok(Survivors::Replication { logs }) if logs.replicas.len() == 2));
    let mut one_logs_little = healthy_replication();
    server_of(&mut one_logs_little, 2).binlog.logs_replicated = false;
    assert!(matches!(survivors(&one_logs_little), Ok(Survivors::Other(_))), "what its volume replicated is in no log");
    assert!(matches!(survivors(&single()), Ok(Survivors::Other(_))));
    type Change = fn(&mut Snapshot);
    let changes: [(Change, &str); 6] = [
        (|seen| silence(seen, 1), "db-1 does not answer"),
        (|seen| seen.members.get_mut(&Ordinal(2)).unwrap().pod = None, "db-2 has no pod"),
        (|seen| seen.members.get_mut(&Ordinal(0)).unwrap().pod.as_mut().unwrap().ready = false, "db-0 is not Ready"),
        (|seen| seen.members.get_mut(&Ordinal(0)).unwrap().pod.as_mut().unwrap().deletion = Some(seen.taken), "being deleted"),
        (|seen| galera_of(seen, 1).status.local_state_uuid = uuid::Uuid::from_u128(7), "another history"),
        (|seen| galera_of(seen, 1).status.last_committed = None, "last commit"),
    ];
    for (change, says) in changes {
        let mut seen = healthy_galera();
        change(&mut seen);
        let wrong = survivors(&seen).unwrap_err().join("; ");
        assert!(wrong.contains(says), "{says}: {wrong}");
    }
    assert!(survivors(&split_brain()).is_err());
    let mut stopped = healthy_replication();
    server_of(&mut stopped, 1).channels[0].sql_running = false;
    assert!(survivors(&stopped).is_err(), "a replica that stands still");
    // The least far of them is what all have.
    let mut apart = healthy_galera();
    galera_of(&mut apart, 0).status.last_committed = Some(90);
    galera_of(&mut apart, 1).status.last_committed = Some(70);
    galera_of(&mut apart, 2).status.last_committed = Some(80);
    assert!(matches!(survivors(&apart), Ok(Survivors::Galera { committed: 70, .. })));
}

#[test]
fn both_looks_must_say_so_and_nothing_may_have_moved() {
    let later = |seen: &Snapshot| {
        let mut later = seen.clone();
        later.taken += SignedDuration::from_secs(9);
        later
    };
    let first = healthy_galera();
    assert!(survivors_of_both(&first, &later(&first)).is_ok());
    let mut down = later(&first);
    silence(&mut down, 1);
    for (one, other) in [(&first, &down), (&down, &first)] {
        assert_eq!(survivors_of_both(one, other).unwrap_err().rule.code, "MDB756");
    }
    let mut moved = later(&first);
    moved.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "new".to_owned();
    let refusal = survivors_of_both(&first, &moved).unwrap_err();
    assert!(refusal.because.join(";").contains("db-2 was replaced"), "{refusal:?}");
}

fn mounts(pairs: &[(&str, &str)]) -> Fact<Mounts> {
    let mut mounts = Mounts::new();
    for (claim, pod) in pairs {
        mounts.entry((*claim).to_owned()).or_default().insert((*pod).to_owned());
    }
    Fact::Known(mounts)
}

#[test]
fn left_over_is_what_the_set_does_not_want_and_only_what_nobody_uses_is_read() {
    let seen = healthy_galera();
    let mut all = volumes(6);
    all[4].deletion = Some(seen.taken);
    all.push(volume("data-other-3"));
    let left = leftovers(&seen, &all, &mounts(&[("data-db-5", "copy"), ("data-db-0", "db-0")]));
    let ordinals: Vec<u32> = left.iter().map(|left| left.ordinal.0).collect();
    assert_eq!(ordinals, [3, 5], "what is being deleted is on its way already");
    let read: Vec<Ordinal> = to_read(&seen, &left).members.keys().copied().collect();
    assert_eq!(read, [0, 1, 2, 3].map(Ordinal));
    let unknown = leftovers(&seen, &all, &Fact::Unknown(Why::Forbidden("list pods".to_owned())));
    assert_eq!(to_read(&seen, &unknown).members.len(), 3);
    assert!(matches!(fate(&unknown[0], None, &Survivors::Other(String::new()), &[]), Fate::Stays { loss: None, .. }));
    // A pod of it is still there, whatever the list of mounts says.
    let mut stays = healthy_galera();
    stays.objects.stateful_set.replicas = 2;
    let left = leftovers(&stays, &volumes(3), &mounts(&[]));
    assert!(
        matches!(fate(&left[0], None, &Survivors::Other(String::new()), &[]), Fate::Stays { because, .. } if because.contains("db-2"))
    );
}

#[test]
fn the_claim_with_the_data_names_the_loss_of_all_of_an_ordinal() {
    let mut seen = healthy_galera();
    seen.objects.stateful_set.claim_templates = vec!["config".to_owned(), "data".to_owned()];
    let left = leftovers(&seen, &[volume("config-db-3"), volume("data-db-3")], &mounts(&[]));
    assert_eq!(left[0].claims[0].name, "data-db-3");
    let Fate::Stays { loss: Some(loss), .. } = fate(&left[0], None, &Survivors::Other(String::new()), &[]) else {
        panic!("nobody has read it")
    };
    assert_eq!(loss, Loss("data-db-3:unknown:uid-data-db-3".to_owned()));
}

fn sized(change: impl FnOnce(&mut Vec<Volume>)) -> Vec<Volume> {
    let mut all = volumes(4);
    change(&mut all);
    all
}

fn decided(all: &[Volume], expands: Option<bool>, size: &str) -> Expansion {
    let class = expands.map(|expands| StorageClass { name: "standard".to_owned(), expands });
    expansion(&healthy_galera(), all, &[("standard", Fact::Known(class))], &size.parse().unwrap()).unwrap()
}

#[test]
fn what_cannot_grow_is_found_before_anything_changes() {
    type Change = fn(&mut Vec<Volume>);
    let changes: [(Change, Option<bool>, &str, &str); 9] = [
        (|_| {}, Some(false), "2Gi", "MDB758"),
        (|_| {}, None, "2Gi", "MDB758"),
        (|_| {}, Some(true), "512Mi", "MDB759"),
        (|all| all[1].requested = Some("3Gi".to_owned()), Some(true), "2Gi", "MDB759"),
        (|all| drop(all.remove(1)), Some(true), "2Gi", "MDB761"),
        (|all| all[1].deletion = Some(jiff::Timestamp::UNIX_EPOCH), Some(true), "2Gi", "MDB761"),
        (|all| all[1].phase = "Pending".to_owned(), Some(true), "2Gi", "MDB761"),
        (|all| all[1].class = None, Some(true), "2Gi", "MDB761"),
        (|all| all[1].resize = Some("NodeResizeInfeasible".to_owned()), Some(true), "2Gi", "MDB761"),
    ];
    for (change, expands, size, expected) in changes {
        match decided(&sized(change), expands, size) {
            Expansion::Refuse(refusal) => assert_eq!(refusal.rule.code, expected, "{refusal:?}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let unread = Fact::Unknown(Why::Forbidden("get storageclasses".to_owned()));
    let asked = expansion(&healthy_galera(), &volumes(3), &[("standard", unread)], &"2Gi".parse().unwrap());
    assert!(asked.is_err(), "a class that may not be read is not known to expand");
    let mut sizeless = volumes(3);
    sizeless[0].requested = None;
    assert!(expansion(&healthy_galera(), &sizeless, &[], &"2Gi".parse().unwrap()).is_err());
}

#[test]
fn only_the_wanted_ones_grow_and_what_is_done_is_not_done_again() {
    let grows = |all: &[Volume]| match decided(all, Some(true), "2Gi") {
        Expansion::Go(growths) => growths.iter().map(|growth| (growth.ordinal.0, growth.asked)).collect::<Vec<_>>(),
        Expansion::Nothing => Vec::new(),
        Expansion::Refuse(refusal) => panic!("{refusal:?}"),
    };
    assert_eq!(grows(&volumes(4)), [(0, false), (1, false), (2, false)], "not the left-over one");
    let done = |all: &mut Vec<Volume>| {
        (all[0].requested, all[0].capacity) = (Some("2048Mi".to_owned()), Some("2Gi".to_owned()));
        (all[1].requested, all[1].capacity) = (Some("2Gi".to_owned()), Some("1Gi".to_owned()));
    };
    assert_eq!(grows(&sized(done)), [(1, true), (2, false)], "one is done, one was asked for");
    let all_done = sized(|all| {
        all.iter_mut().for_each(|volume| {
            (volume.requested, volume.capacity) = (Some("2Gi".to_owned()), Some("2Gi".to_owned()));
        });
    });
    assert_eq!(grows(&all_done), []);
    let pending = sized(|all| {
        all.clone_from(&all_done);
        all[2].conditions = vec!["FileSystemResizePending".to_owned()];
    });
    assert_eq!(grows(&pending), [(2, true)]);
}

#[test]
fn the_size_on_a_set_of_the_operator_belongs_to_its_object() {
    let size = "2Gi".parse().unwrap();
    let Ok(Expansion::Refuse(refusal)) = expansion(&operated(|_| {}), &volumes(3), &[], &size) else { panic!("refused") };
    assert_eq!(refusal.rule.code, "MDB760");
    let NextCommand::Kubectl(words) = &refusal.by_hand[0] else { panic!("kubectl") };
    assert_eq!(words.join(" "), "patch mariadbs.k8s.mariadb.com db --type merge -p {\"spec\":{\"storage\":{\"size\":\"2Gi\"}}}");
    let mut down = healthy_galera();
    down.objects.stateful_set.replicas = 0;
    assert!(matches!(expansion(&down, &volumes(3), &[], &size), Ok(Expansion::Refuse(refusal)) if refusal.rule.code == "MDB761"));
}

#[test]
fn a_file_system_shows_its_growth_or_its_size() {
    let size = "2Gi".parse().unwrap();
    assert!(!is_shown(1 << 30, Some(1 << 30), &size));
    assert!(is_shown((1 << 30) + 1, Some(1 << 30), &size));
    // It had grown before this run looked.
    assert!(is_shown(2_000_000_000, Some(2_000_000_000), &size));
    assert!(!is_shown(1 << 30, None, &size));
}

#[test]
fn the_list_says_of_each_claim_what_is_known() {
    let mut seen = healthy_galera();
    let all =
        [volumes(4), vec![volume("data-old-0"), labelled("storage-gone-0", "pvc.k8s.mariadb.com/role", "storage")]].concat();
    let mounted = mounts(&[("data-db-0", "db-0"), ("data-db-1", "db-1"), ("data-db-2", "db-2")]);
    let sets = Fact::Known(BTreeSet::from(["db".to_owned()]));
    let reclaim = Fact::Unknown(Why::Forbidden("get persistentvolumes".to_owned()));
    let list = |seen: &Snapshot, only: Option<&str>| {
        let clusters = [seen.clone()];
        let seen =
            Seen { namespace: "shop", clusters: &clusters, volumes: &all, mounts: &mounted, sets: &sets, reclaim: &reclaim };
        entries(&seen, only)
    };
    let found = list(&seen, None);
    let verdicts: Vec<(&str, &Verdict)> = found.iter().map(|entry| (entry.volume.name.as_str(), &entry.verdict)).collect();
    assert_eq!(verdicts[0], ("data-db-0", &Verdict::InUse));
    assert!(matches!(found[0].stands, Stands::Galera { .. }) && found[0].used.known().is_ok());
    assert!(matches!(verdicts[3], ("data-db-3", Verdict::Keep(why)) if why.contains("--inspect")), "{verdicts:?}");
    assert!(
        matches!(verdicts[4], ("storage-gone-0", Verdict::Keep(why)) if why.contains("pvc.k8s.mariadb.com/role")),
        "{verdicts:?}"
    );
    assert!(matches!(verdicts[5], ("data-old-0", Verdict::Keep(why)) if why.contains("only its name")), "{verdicts:?}");
    assert_eq!(list(&seen, Some("db")).len(), 4);
    assert!(found.iter().all(|entry| matches!(entry.reclaim, Fact::Unknown(Why::Forbidden(_)))));
    // What it holds was read, and it may go; or it may not, because somebody is down.
    let left = leftovers(&seen, &all, &mounted);
    seen = to_read(&seen, &left);
    let uuid = galera_of(&mut seen, 0).status.cluster_state_uuid;
    let state = Grastate { version: None, uuid, seqno: Some(1), safe_to_bootstrap: Some(false) };
    let files = crate::model::disk::Disk { grastate: StateFile::Parsed(state), process: Process::None, ..disk(None) };
    seen.members.get_mut(&Ordinal(3)).unwrap().files = Fact::Known(files);
    let entry = list(&seen, Some("db")).pop().unwrap();
    assert!(matches!(entry.verdict, Verdict::MayGo(_)) && entry.stands == Stands::Galera { uuid, seqno: 1 }, "{entry:?}");
    silence(&mut seen, 1);
    assert!(matches!(list(&seen, Some("db")).pop().unwrap().verdict, Verdict::Keep(why) if why.contains("db-1")));
}

/// What a replica logged before it was stopped cleanly says what its volume holds.
#[test]
fn a_volume_of_a_replica_goes_if_every_member_has_logged_what_it_has() {
    let with = |logged: Option<&str>| {
        let mut files = disk(None);
        (files.process, files.grastate) = (Process::None, StateFile::Absent);
        files.logged = logged.map(|state| ("binlog".to_owned(), state.parse().unwrap())).into_iter().collect();
        let left = leftovers(&healthy_replication(), &volumes(4), &mounts(&[])).remove(0);
        Leftover { files: Fact::Known(files), ..left }
    };
    let logs = |primary: &str, replica: &str| {
        let replicas = [("db-1".to_owned(), replica.parse().unwrap())].into();
        Survivors::Replication { logs: Logs { primary: primary.parse().unwrap(), replicas, name: "binlog".to_owned() } }
    };
    let members = logs("0-1-120,0-2-100", "0-1-110");
    let judged = |logged: Option<&str>, members: &Survivors| match fate(&with(logged), None, members, &[]) {
        Fate::Goes { because, loss: None } => format!("goes: {because}"),
        Fate::Stays { because, loss: Some(loss) } => format!("stays: {because} [{}]", loss.0),
        other => panic!("{other:?}"),
    };
    assert!(judged(Some("0-2-100,0-1-110"), &members).starts_with("goes: every member holds"));
    // One of them is not as far yet; a former primary; a server that nobody knows.
    for (logged, words) in [
        ("0-1-115,0-2-100", "[data-db-3:0-1-111..115]"),
        ("0-1-100,0-2-104", "[data-db-3:0-2-101..104]"),
        ("0-1-100,0-9-7,1-2-3", "[data-db-3:0-9-1..7+1-2-1..3]"),
    ] {
        let told = judged(Some(logged), &members);
        assert!(told.starts_with("stays: its log has transactions") && told.ends_with(words), "{told}");
    }
    for (logged, members) in [(None, &members), (Some(""), &members), (Some("0-1-100"), &Survivors::Other(String::new()))] {
        let told = judged(logged, members);
        assert!(told.starts_with("stays") && told.contains("[data-db-3:unknown:"), "{told}");
    }
    let later = logs("0-1-130,0-2-100", "0-1-130");
    assert!(same_history(&members, &later) && same_history(&later, &members));
    let another = logs("0-1-119,0-2-130", "0-1-119");
    assert!(!same_history(&members, &another), "the primary has lost what it had");
}
