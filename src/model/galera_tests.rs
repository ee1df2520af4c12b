use uuid::uuid;

use super::*;
use crate::model::testing::{
    cut_off, files_of, fixture, galera, galera_of as galera_mut, healthy_galera, healthy_replication, moment, server_of, silence,
    split_brain, variables, zero_uuid,
};

fn ordinals(numbers: &[u32]) -> BTreeSet<Ordinal> {
    numbers.iter().copied().map(Ordinal).collect()
}

/// Primary or not, ordinals, number of members, who else: of each component.
fn shape(groups: &Groups) -> Vec<(bool, Vec<u32>, usize, Vec<Who>)> {
    let component = |component: &Component| {
        let ordinals = component.ordinals.iter().map(|ordinal| ordinal.0).collect();
        let others = component.others.iter().map(|other| other.who).collect();
        (component.primary, ordinals, component.members.len(), others)
    };
    groups.components.iter().map(component).collect()
}

#[test]
fn recorded_moments_give_the_components_that_were_there() {
    let silent = Who::Silent(Ordinal(2));
    for (name, seen, expected) in [
        ("healthy", healthy_galera(), vec![(true, vec![0, 1, 2], 3, vec![])]),
        ("three", moment(["three-n1", "three-n2", "three-n3"]), vec![(true, vec![0, 1, 2], 3, vec![])]),
        ("joiner", moment(["joiner-n1", "joiner-n2", "-"]), vec![(true, vec![0, 1], 3, vec![silent])]),
        ("garbd", moment(["garbd-n1", "garbd-n2", "garbd-n3"]), vec![(true, vec![0, 1, 2], 4, vec![Who::Arbitrator])]),
        ("killed", moment(["killed-10s-n1", "killed-10s-n2", "-"]), vec![(true, vec![0, 1], 3, vec![Who::Arbitrator])]),
        ("cut off", cut_off(), vec![(true, vec![0, 1], 2, vec![]), (false, vec![2], 1, vec![])]),
        ("split brain", split_brain(), vec![(true, vec![0, 1], 2, vec![]), (true, vec![2], 1, vec![])]),
        ("zero", zero_uuid(), vec![(true, vec![0, 1, 2], 3, vec![])]),
        ("nonprimary", moment(["nonprimary-n1", "-", "-"]), vec![(false, vec![0], 1, vec![])]),
        (
            "rejoined without a history, cached size 0",
            moment(["zero-rejoined-n1", "zero-rejoined-n2", "zero-rejoined-n3"]),
            vec![(true, vec![0, 1, 2], 3, vec![])],
        ),
    ] {
        let groups = Groups::of(&seen);
        assert_eq!(shape(&groups), expected, "{name}");
        assert_eq!(groups.split_brain().len(), if name == "split brain" { 2 } else { 0 }, "{name}");
        assert!(!groups.unsettled(), "{name}");
    }
}

#[test]
fn a_member_that_died_a_second_ago_is_still_in_the_view() {
    let seen = moment(["killed-1s-n1", "-", "-"]);
    let others: Vec<Who> = Groups::of(&seen).components.remove(0).others.into_iter().map(|other| other.who).collect();
    assert_eq!(others, [Who::Silent(Ordinal(1)), Who::Silent(Ordinal(2)), Who::Arbitrator]);
}

#[test]
fn only_the_members_differ_in_a_split_brain() {
    let seen = split_brain();
    let groups = Groups::of(&seen);
    let [one, other] = groups.split_brain()[..] else { panic!("no split brain: {groups:?}") };
    assert_eq!(one.state_uuid, other.state_uuid);
    let status = |ordinal| &galera_of(&seen, Ordinal(ordinal)).unwrap().status;
    assert_eq!(status(0).conf_id, status(2).conf_id);
    assert!(groups.outside(&seen).is_empty());
}

#[test]
fn views_of_two_moments_are_unsettled_and_no_split_brain() {
    // db-0 has noticed that db-2 is cut off, db-1 and db-2 have not yet.
    let seen = moment(["cut-10s-n1", "cut-10s-n2", "cut-10s-n3"]);
    let before = moment(["cut-10s-n1", "cut-10s-n2", "cut-10s-n3"]);
    let mut mixed = seen;
    let table = galera_of(&before, Ordinal(2)).unwrap().view.clone();
    for ordinal in [1, 2] {
        let galera = galera_mut(&mut mixed, ordinal);
        galera.view.clone_from(&table);
        galera.status.cluster_status = ClusterStatus::Primary;
    }
    let groups = Groups::of(&mixed);
    assert!(groups.unsettled() && groups.split_brain().is_empty());
    assert_eq!(groups.components.len(), 2);
    assert_eq!(groups.components[0].others[0].who, Who::Elsewhere(Ordinal(0)));
}

#[test]
fn who_is_in_no_component_and_why() {
    let mut seen = galera(&[
        fixture!("galera-10.11/zombie-disconnected-n1-status.tsv"),
        fixture!("galera-10.11/nonprimary-1of3-n2-status.tsv"),
        fixture!("galera-10.11/inconsistency-voted-out-n3-status.tsv"),
    ]);
    let groups = Groups::of(&seen);
    assert_eq!(groups.apart, BTreeMap::from([(Ordinal(0), Apart::Disconnected), (Ordinal(2), Apart::Disconnected)]));
    assert_eq!(shape(&groups), [(false, vec![1], 1, vec![])]);
    assert_eq!(groups.outside(&seen), ordinals(&[0, 1, 2]));

    server_of(&mut seen, 1).galera = None;
    silence(&mut seen, 0);
    silence(&mut seen, 2);
    seen.members.get_mut(&Ordinal(2)).unwrap().pod = None;
    let groups = Groups::of(&seen);
    let expected = [(Ordinal(0), Apart::Silent), (Ordinal(1), Apart::NotGalera), (Ordinal(2), Apart::NoPod)];
    assert_eq!(groups, Groups { components: vec![], apart: BTreeMap::from(expected) });
    assert_eq!(Groups::of(&healthy_replication()).apart.len(), 3);
}

#[test]
fn non_primary_servers_that_see_each_other_are_one_component() {
    let mut seen = cut_off();
    for ordinal in [0, 1] {
        let galera = galera_mut(&mut seen, ordinal);
        galera.status.cluster_status = ClusterStatus::NonPrimary;
        galera.view = galera_of(&cut_off(), Ordinal(2)).unwrap().view.clone();
    }
    assert_eq!(shape(&Groups::of(&seen)), [(false, vec![0, 1], 2, vec![]), (false, vec![2], 1, vec![])]);
    // With one of them silent the other still knows that it is there.
    silence(&mut seen, 1);
    assert_eq!(shape(&Groups::of(&seen))[0], (false, vec![0], 2, vec![Who::Silent(Ordinal(1))]));
}

#[test]
fn without_the_members_table_addresses_decide_and_more_servers_than_addresses_are_apart() {
    let clear = |mut seen: Snapshot, addresses: Option<&str>| {
        for ordinal in 0..3 {
            let galera = galera_mut(&mut seen, ordinal);
            galera.view.clear();
            if let Some(address) = addresses {
                galera.status.incoming_addresses.iter_mut().for_each(|known| address.clone_into(known));
            }
        }
        Groups::of(&seen)
    };
    assert_eq!(shape(&clear(healthy_galera(), None)), [(true, vec![0, 1, 2], 3, vec![])]);
    assert_eq!(clear(split_brain(), None).split_brain().len(), 2);
    assert_eq!(shape(&clear(healthy_galera(), Some("AUTO"))), [(true, vec![0, 1, 2], 3, vec![])]);
    assert_eq!(clear(split_brain(), Some("AUTO")).split_brain().len(), 2);
}

#[test]
fn a_joiner_is_a_listed_pod_whose_server_runs_without_sql() {
    let mut seen = moment(["joiner-n1", "joiner-n2", "-"]);
    assert_eq!(Groups::of(&seen).joiners(&seen), ordinals(&[2]));
    files_of(&mut seen, 2).process = Process::None;
    assert!(Groups::of(&seen).joiners(&seen).is_empty());
    let mut by_its_word = healthy_galera();
    galera_mut(&mut by_its_word, 1).status.local_state = LocalState::Joined;
    assert_eq!(Groups::of(&by_its_word).joiners(&by_its_word), ordinals(&[1]));
    // A hung server is not joining.
    let mut hung = healthy_galera();
    silence(&mut hung, 1);
    assert!(Groups::of(&hung).joiners(&hung).is_empty());
}

#[test]
fn a_member_desynced_by_hand_is_no_donor() {
    let mut seen = healthy_galera();
    galera_mut(&mut seen, 2).status =
        Status::from_variables(&variables(fixture!("galera-10.11/desynced-n3-status.tsv"))).unwrap();
    assert_eq!(donors(&seen), ordinals(&[2]));
    galera_mut(&mut seen, 2).desync = true;
    assert!(donors(&seen).is_empty());
}

#[test]
fn the_votes_of_arbitrators_and_joiners_count() {
    let votes = |seen: &Snapshot| Groups::of(seen).components[0].quorum(seen);
    let three = votes(&healthy_galera()).unwrap();
    assert_eq!((three.total(), three.unasked(), three.spare()), (3, 0, 1));
    let with_arbitrator = votes(&moment(["killed-10s-n1", "killed-10s-n2", "-"])).unwrap();
    assert_eq!((with_arbitrator.total(), with_arbitrator.unasked(), with_arbitrator.spare()), (3, 1, 1));
    let joining = votes(&moment(["joiner-n1", "joiner-n2", "-"])).unwrap();
    assert!(!joining.survives_loss([Ordinal(0), Ordinal(2)]));
    let mut weighted = moment(["weighted-n1", "garbd-n2", "garbd-n3"]);
    galera_mut(&mut weighted, 0).options.insert("pc.weight".to_owned(), "2".to_owned());
    let weighted = votes(&weighted).unwrap();
    assert!(weighted.survives_loss([Ordinal(0)]) && !weighted.survives_loss([Ordinal(0), Ordinal(1)]));
    assert_eq!(votes(&moment(["nonprimary-n1", "-", "-"])), None);
}

#[test]
fn an_incremental_transfer_needs_the_next_write_set_in_the_donors_cache() {
    let history = uuid!("2ec812f1-e4f6-11f1-ad8a-7a5c33de3170");
    let mut donor = Status::from_variables(&variables(fixture!("galera-10.11/healthy-n1-status.tsv"))).unwrap();
    donor.cached_downto = Some(268);
    donor.last_committed = Some(400);
    let from = |uuid, seqno| ist_possible(&Position { uuid, seqno, gtid: None }, &donor);
    for (seqno, expected) in
        [(Some(72), false), (Some(266), false), (Some(267), true), (Some(400), true), (Some(401), false), (None, false)]
    {
        assert_eq!(from(history, seqno), Some(expected), "{seqno:?}");
    }
    assert_eq!(from(Uuid::nil(), Some(300)), Some(false));
    assert_eq!(from(uuid!("650ade90-e4f7-11f1-9ccc-d3c02d18f50e"), Some(300)), Some(false));
    donor.cached_downto = None;
    assert_eq!(ist_possible(&Position { uuid: history, seqno: Some(300), gtid: None }, &donor), None);
}
