use uuid::Uuid;

use crate::decide::operation::custody::Custody;
use crate::decide::operation::gates::JOIN;
use crate::decide::operation::memo::Memo;
use crate::decide::operation::plan::{Action, Decision, Loss, Plan};
use crate::decide::operation::{Beginning, Goal, Wish, begin, decide};
use crate::model::disk::StateFile;
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::kubernetes::{NodeReady, PodManagement};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::testing::{
    cut_off, files_of, galera_of, healthy_galera, healthy_replication, moment, noon, silence, split_brain, zero_uuid,
};
use crate::model::wsrep::{ClusterStatus, LocalState};

fn wish(ordinal: u32) -> Wish {
    Wish { ordinal: Some(Ordinal(ordinal)), ..Goal::Rebuild.into() }
}

fn begun(wish: &Wish, seen: &Snapshot) -> Result<Memo, String> {
    let nobody =
        Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Unknown(Why::NotAsked) };
    match begin(wish, seen, &nobody, None) {
        Ok(Beginning::Begin(memo)) => Ok(*memo),
        Ok(Beginning::Refuse(refusal)) => Err(refusal.rule.code.to_owned()),
        Ok(Beginning::Nothing(why) | Beginning::Wait { why, .. }) => Err(why),
        Err(why) => Err(why.to_string()),
    }
}

fn plan(seen: &Snapshot, memo: &Memo) -> Result<Plan, String> {
    match decide(Goal::Rebuild, seen, memo) {
        Ok(Decision::Go(plan)) => Ok(plan),
        Ok(Decision::Refuse(refusal)) => Err(refusal.rule.code.to_owned()),
        Ok(Decision::Wait { why, .. }) => Err(why),
        Ok(Decision::Done) => Err("done".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

#[test]
fn no_pod_beside_the_member_marks_a_volume_that_one_pod_alone_may_use() {
    let mut seen = zombie();
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("known") };
    claims[2].access_modes = vec!["ReadWriteOncePod".to_owned()];
    assert_eq!(begun(&wish(2), &seen), Err("MDB744".to_owned()));
    seen.members.get_mut(&Ordinal(2)).unwrap().pod = None;
    assert_ne!(begun(&wish(2), &seen).err().as_deref(), Some("MDB744"), "nobody uses it");
}

/// db-2 has left its group for good, and its server runs on.
fn zombie() -> Snapshot {
    let mut seen = healthy_galera();
    let gone = galera_of(&mut seen, 2).status.gcomm_uuid;
    let status = &mut galera_of(&mut seen, 2).status;
    (status.cluster_status, status.local_state) = (ClusterStatus::Disconnected, LocalState::Inconsistent);
    (status.ready, status.connected, status.gcomm_uuid, status.evs_state) = (false, false, None, None);
    for ordinal in 0..2 {
        galera_of(&mut seen, ordinal).view.retain(|row| Some(row.uuid) != gone);
    }
    seen
}

/// As the reset leaves it: marked, and the old server still running.
fn marked(seen: &mut Snapshot, memo: &mut Memo) {
    files_of(seen, 2).grastate = StateFile::Parsed(Grastate::distrusted());
    memo.rebuild.as_mut().unwrap().reset = true;
}

#[test]
fn a_member_is_marked_restarted_and_done_when_its_disk_says_that_a_copy_has_come() {
    for mut seen in [healthy_galera(), zombie()] {
        let mut memo = begun(&wish(2), &seen).unwrap();
        let first = plan(&seen, &memo).unwrap();
        assert_eq!(ids(&first), ["mark db-2", "restart db-2"]);
        assert!(first.losses.is_empty() && first.steps.iter().all(|step| step.no_return), "{first:?}");
        assert!(first.notes[0].contains("full copy") && first.notes[0].contains("db-0 or db-1"), "{:?}", first.notes);
        marked(&mut seen, &mut memo);
        assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["restart db-2"], "it is as Synced as before, with the old data");
        let pod = seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap();
        pod.deletion = Some(noon());
        assert_eq!(plan(&seen, &memo), Err("db-2 is stopping".to_owned()));
        seen.members.get_mut(&Ordinal(2)).unwrap().pod = None;
        assert_eq!(plan(&seen, &memo), Err("db-2 has no pod yet".to_owned()));
        let mut back = healthy_galera();
        back.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "another".to_owned();
        assert_eq!(plan(&back, &memo), Err("done".to_owned()));
        let status = &mut galera_of(&mut back, 2).status;
        (status.local_state, status.state_comment) = (LocalState::Joined, "Joined".to_owned());
        assert_eq!(plan(&back, &memo), Err("db-2 is Joined".to_owned()));
    }
}

/// Seen on 10.11: db-1 has heard that the crashed member is gone, and db-0 not yet.
#[test]
fn views_of_two_moments_are_not_two_components() {
    let mut seen = zombie();
    let stale = galera_of(&mut healthy_galera(), 0).view.clone();
    galera_of(&mut seen, 0).view = stale;
    assert_eq!(begun(&wish(2), &seen).err().as_deref(), Some("MDB727"), "it passes, and is looked at again");
}

#[test]
fn a_crashing_server_that_cannot_be_asked_for_a_moment_is_waited_for() {
    let starting = |restarts: u32| {
        let mut seen = zombie();
        let member = seen.members.get_mut(&Ordinal(2)).unwrap();
        let container = &mut member.pod.as_mut().unwrap().containers[0];
        (container.restarts, container.ready) = (restarts, false);
        let why = || Why::Failed("container not found".to_owned());
        (member.server, member.files) = (Fact::Unknown(why()), Fact::Unknown(why()));
        let nobody =
            Custody { gitops: None, helm: None, horizontal: Fact::Known(Vec::new()), vertical: Fact::Unknown(Why::NotAsked) };
        begin(&wish(2), &seen, &nobody, None)
    };
    assert!(matches!(starting(3), Ok(Beginning::Wait { .. })));
    assert!(starting(0).is_err(), "it may be in a component of its own");
}

/// An ordered set makes no pod above one that is not Ready (safety B1): whoever is marked then would stay away.
#[test]
fn a_member_that_would_get_no_pod_is_not_begun_with() {
    let unready = |pods: PodManagement| {
        let mut seen = zombie();
        seen.objects.stateful_set.pod_management = pods;
        seen.members.get_mut(&Ordinal(1)).unwrap().pod.as_mut().unwrap().ready = false;
        seen
    };
    assert_eq!(begun(&wish(2), &unready(PodManagement::OrderedReady)).err().as_deref(), Some("MDB727"));
    let mut memo = begun(&wish(2), &unready(PodManagement::Parallel)).unwrap();
    // It has become so since.
    let mut seen = unready(PodManagement::OrderedReady);
    marked(&mut seen, &mut memo);
    assert!(plan(&seen, &memo).unwrap_err().contains("db-1 is not Ready"));
    let Ok(Decision::Wait { limit, .. }) = decide(Goal::Rebuild, &seen, &memo) else { panic!("no wait") };
    assert_eq!(limit, JOIN, "marked data is in no hurry");
    seen.members.get_mut(&Ordinal(2)).unwrap().pod = None;
    assert!(plan(&seen, &memo).unwrap_err().starts_with("db-2 has no pod yet: db-1 is not Ready"));
}

/// Writers that saturate the cluster fill the queues of the others again and again (safety D7).
#[test]
fn a_backlog_counts_until_the_first_step_and_no_longer() {
    let busy = |queue: u64| {
        let mut seen = healthy_galera();
        let status = &mut galera_of(&mut seen, 1).status;
        (status.recv_queue, status.flow_control.active) = (queue, true);
        seen
    };
    assert_eq!(begun(&wish(2), &busy(65)).err().as_deref(), Some("MDB727"), "db-1 does not keep up");
    let mut memo = begun(&wish(2), &busy(64)).unwrap();
    assert_eq!(ids(&plan(&busy(137), &memo).unwrap()), ["mark db-2", "restart db-2"]);
    let mut seen = busy(500);
    marked(&mut seen, &mut memo);
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["restart db-2"], "marked data does not wait for a quiet moment");
    // What two members cannot do without at once is no matter of load (safety D1).
    let status = &mut galera_of(&mut seen, 1).status;
    (status.local_state, status.state_comment) = (LocalState::Joining, "Joining".to_owned());
    assert!(plan(&seen, &memo).unwrap_err().contains("db-1 is not Synced (Joining)"));
}

#[test]
fn a_server_that_was_quicker_than_the_mark_is_restarted_once_more() {
    let mut seen = healthy_galera();
    let mut memo = begun(&wish(2), &seen).unwrap();
    marked(&mut seen, &mut memo);
    seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "another".to_owned();
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["restart db-2"]);
}

#[test]
fn files_that_cannot_be_read_by_exec_are_read_first() {
    let mut seen = zombie();
    let member = seen.members.get_mut(&Ordinal(2)).unwrap();
    member.pod.as_mut().unwrap().containers[0].state =
        crate::model::kubernetes::ContainerState::Waiting { reason: "CrashLoopBackOff".to_owned(), message: String::new() };
    (member.server, member.files) =
        (Fact::Unknown(Why::NotRunning("it crashes".to_owned())), Fact::Unknown(Why::NotRunning("it crashes".to_owned())));
    let mut memo = begun(&wish(2), &seen).unwrap();
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["read the state files of db-2", "mark db-2", "restart db-2"]);
    let mut read = files_of(&mut healthy_galera(), 2).clone();
    memo.recovery.files.insert(Ordinal(2), read.clone());
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["mark db-2", "restart db-2"]);
    // What is found there may be what nobody else has.
    let foreign = Grastate { uuid: Uuid::from_u128(7), seqno: Some(5), ..Grastate::distrusted() };
    (read.grastate, read.gvwstate) = (StateFile::Parsed(foreign), StateFile::Absent);
    memo.recovery.files.insert(Ordinal(2), read);
    assert_eq!(plan(&seen, &memo), Err("MDB728".to_owned()));
    memo.rebuild.as_mut().unwrap().accepted = Some(Loss("db-2:00000000-0000-0000-0000-000000000007:5".to_owned()));
    assert_eq!(plan(&seen, &memo).unwrap().losses.len(), 1);
}

#[test]
fn the_last_good_copy_and_an_unclear_rest_are_refused() {
    let alone = || {
        let mut seen = zombie();
        for ordinal in 0..2 {
            let status = &mut galera_of(&mut seen, ordinal).status;
            (status.cluster_status, status.local_state) = (ClusterStatus::Disconnected, LocalState::Initialized);
        }
        seen
    };
    let without_donor = || {
        let mut seen = zombie();
        galera_of(&mut seen, 0).status.local_state = LocalState::DonorDesynced;
        galera_of(&mut seen, 1).status.local_state = LocalState::DonorDesynced;
        seen
    };
    let one_gives = || {
        let mut seen = zombie();
        galera_of(&mut seen, 0).status.local_state = LocalState::DonorDesynced;
        seen
    };
    let another_away = || {
        let mut seen = zombie();
        silence(&mut seen, 1);
        seen
    };
    for (name, seen, of, code) in [
        ("nobody else is primary", alone(), 2, "MDB726"),
        ("the winner of a split brain is not seen as one", split_brain(), 0, "MDB726"),
        ("no history", zero_uuid(), 2, "MDB726"),
        ("nobody is Synced", without_donor(), 2, "MDB726"),
        ("a transfer is under way", one_gives(), 2, "MDB727"),
        ("one that is needed while another is away", zombie(), 0, "MDB727"),
        ("no Galera", healthy_replication(), 2, "MDB726"),
        ("no member", healthy_galera(), 7, "MDB710"),
    ] {
        assert_eq!(begun(&wish(of), &seen).err().as_deref(), Some(code), "{name}");
    }
    let unknown = begun(&wish(2), &another_away()).unwrap_err();
    assert!(unknown.contains("db-1 could not be asked"), "{unknown}");
    assert!(begun(&wish(2), &cut_off()).is_ok(), "it is cut off, and the others are a majority");
    let limbo = moment(["three-n1", "three-n2", "-"]);
    assert_eq!(begun(&wish(2), &limbo).err().as_deref(), Some("MDB727"), "the others still count it");
}

#[test]
fn what_only_the_member_holds_needs_its_own_words() {
    let ahead = || {
        let mut seen = zombie();
        galera_of(&mut seen, 2).status.last_committed = Some(900_000);
        seen
    };
    let foreign = || {
        let mut seen = zombie();
        let status = &mut galera_of(&mut seen, 2).status;
        (status.local_state_uuid, status.last_committed) = (Uuid::from_u128(7), None);
        seen
    };
    let history = galera_of(&mut healthy_galera(), 0).status.cluster_state_uuid;
    for (seen, of, accepts) in [
        (ahead(), 2, format!("db-2:{history}:900000")),
        (foreign(), 2, format!("db-2:{}:unknown", Uuid::from_u128(7))),
        (split_brain(), 2, "since-the-split".to_owned()),
    ] {
        let mut memo = begun(&wish(of), &seen).unwrap();
        let Ok(Decision::Refuse(refusal)) = decide(Goal::Rebuild, &seen, &memo) else { panic!("{accepts} is not refused") };
        assert_eq!(refusal.rule.code, "MDB728");
        let named = refusal.because[0].strip_prefix("lost by a rebuild: ").unwrap().to_owned();
        assert!(named.contains(&accepts), "{named}");
        memo.rebuild.as_mut().unwrap().accepted = Some(Loss("db-2:of-another-time".to_owned()));
        assert_eq!(plan(&seen, &memo), Err("MDB728".to_owned()));
        memo.rebuild.as_mut().unwrap().accepted = Some(Loss(named.clone()));
        assert_eq!(plan(&seen, &memo).unwrap().losses, [Loss(named)]);
    }
}

/// db-2 waits for a node: the one with its volume is gone.
fn lost_node() -> Snapshot {
    let mut seen = zombie();
    let member = seen.members.get_mut(&Ordinal(2)).unwrap();
    let pod = member.pod.as_mut().unwrap();
    (pod.node, pod.unscheduled) = (None, Some("Unschedulable: 1 node had volume node affinity conflict".to_owned()));
    pod.containers.clear();
    (member.server, member.files) =
        (Fact::Unknown(Why::NotRunning("no node".to_owned())), Fact::Unknown(Why::NotRunning("no node".to_owned())));
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("they are known") };
    (claims[2].node, claims[2].provisioner) = (Some("node-9".to_owned()), Some("local.example".to_owned()));
    seen
}

#[test]
fn a_volume_is_replaced_only_when_its_node_is_lost() {
    let new = Wish { new_volume: true, ..wish(2) };
    let mut seen = lost_node();
    assert_eq!(begun(&wish(2), &seen).err().as_deref(), Some("MDB730"), "it cannot be reached");
    let memo = begun(&new, &seen).unwrap();
    let first = plan(&seen, &memo).unwrap();
    assert_eq!(ids(&first), ["replace data-db-2", "restart db-2"]);
    assert!(matches!(&first.steps[0].act, Action::DeleteClaim { name, .. } if name == "data-db-2"));
    assert!(first.notes.iter().any(|note| note.contains("cannot be read")), "{:?}", first.notes);
    let Fact::Known(claims) = &mut seen.objects.claims else { panic!("they are known") };
    claims[2].deletion = Some(noon());
    assert_eq!(ids(&plan(&seen, &memo).unwrap()), ["restart db-2"]);
    let mut back = healthy_galera();
    back.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "another".to_owned();
    assert!(plan(&back, &memo).is_ok_and(|plan| plan.steps.len() == 1), "the claim is the old one");
    let Fact::Known(claims) = &mut back.objects.claims else { panic!("they are known") };
    claims[2].uid = "another".to_owned();
    assert_eq!(plan(&back, &memo), Err("done".to_owned()));

    let of_node = |ready: Option<NodeReady>, taint: Option<&str>| {
        let mut seen = lost_node();
        let Fact::Known(nodes) = &mut seen.objects.nodes else { panic!("they are known") };
        let mut node = nodes[0].clone();
        node.name = "node-9".to_owned();
        node.taints.extend(taint.map(str::to_owned));
        nodes.extend(ready.map(|ready| crate::model::kubernetes::Node { ready, ..node }));
        begun(&new, &seen).err()
    };
    let silent = || Some(NodeReady::Silent { since: None });
    assert_eq!(of_node(silent(), None).as_deref(), Some("MDB730"), "silent is not dead");
    assert_eq!(of_node(silent(), Some("node.kubernetes.io/out-of-service:NoExecute")), None);
    assert_eq!(of_node(Some(NodeReady::Yes), None).as_deref(), Some("MDB729"));
    assert_eq!(begun(&new, &zombie()).err().as_deref(), Some("MDB729"), "it is on a node that lives");
    let mut by_hand = lost_node();
    let Fact::Known(claims) = &mut by_hand.objects.claims else { panic!("they are known") };
    claims[2].provisioner = None;
    assert_eq!(begun(&new, &by_hand).err().as_deref(), Some("MDB729"), "nobody would make another one");
    by_hand.objects.nodes = Fact::Unknown(Why::Forbidden("get nodes".to_owned()));
    assert!(begun(&new, &by_hand).unwrap_err().contains("get nodes"));
}

#[test]
fn a_member_that_founds_a_cluster_of_its_own_is_stopped_at_once() {
    let mut seen = healthy_galera();
    let mut memo = begun(&wish(2), &seen).unwrap();
    memo.rebuild.as_mut().unwrap().reset = true;
    seen.members.get_mut(&Ordinal(2)).unwrap().pod.as_mut().unwrap().uid = "another".to_owned();
    let own = galera_of(&mut seen, 2).status.gcomm_uuid;
    for ordinal in 0..2 {
        galera_of(&mut seen, ordinal).view.retain(|row| Some(row.uuid) != own);
    }
    let apart = galera_of(&mut seen, 2);
    apart.view.retain(|row| Some(row.uuid) == own);
    apart.status.incoming_addresses.truncate(1);
    let plan = plan(&seen, &memo).unwrap();
    assert!(plan.steps[0].emergency && matches!(plan.steps[0].act, Action::DeletePods { .. }), "{plan:?}");
    memo.stray = Some(plan.steps[0].id.clone());
    let Ok(Decision::Refuse(refusal)) = decide(Goal::Rebuild, &seen, &memo) else { panic!("it goes on") };
    assert_eq!(refusal.rule.code, "MDB717");
}
