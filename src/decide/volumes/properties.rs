//! Whatever the world, what is left after a prune holds everything that was there before, unless its loss was accepted by name.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use crate::decide::operation::plan::Loss;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::{Fact, Why};
use crate::model::grastate::Grastate;
use crate::model::gvwstate::Gvwstate;
use crate::model::names::Ordinal;
use crate::model::testing::disk;
use crate::model::volumes::Volume;

use super::prune::{Fate, Leftover, Survivors, apart, fate};

/// What really is on a volume: whatever its files say of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Truth {
    history: Uuid,
    /// The last write set it holds.
    reached: u64,
}

/// What its files say.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Closed cleanly.
    Clean,
    /// Closed cleanly, as the last of a primary component.
    Last,
    /// Killed: no seqno, and the last view is left.
    Killed,
    /// Killed while the provider was paused: the seqno is one of before (experiment V8).
    Paused {
        behind: u64,
    },
    /// Thrown out, or a copy that was cut: no history.
    Zeroed,
    /// 0 bytes.
    Cut,
    NoFile,
    Unreadable,
    NotRead,
    /// A server came up meanwhile.
    Runs,
}

#[derive(Clone, Debug)]
struct World {
    /// The history of the members, and how far each is.
    history: Uuid,
    members: Vec<u64>,
    galera: bool,
    /// `None`: empty.
    volumes: Vec<(Option<Truth>, Told, bool, bool)>,
    /// Which of the losses that are named are accepted, and one that is not.
    accepted: Vec<bool>,
}

fn histories() -> impl Strategy<Value = Uuid> {
    prop_oneof![3 => Just(Uuid::from_u128(1)), 1 => Just(Uuid::from_u128(2))]
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        8 => Just(Told::Clean),
        2 => Just(Told::Last),
        2 => Just(Told::Killed),
        2 => (1..9_u64).prop_map(|behind| Told::Paused { behind }),
        1 => Just(Told::Zeroed),
        1 => Just(Told::Cut),
        1 => Just(Told::NoFile),
        1 => Just(Told::Unreadable),
        1 => Just(Told::NotRead),
        1 => Just(Told::Runs),
    ]
}

fn worlds() -> impl Strategy<Value = World> {
    let truth = (histories(), 0..40_u64).prop_map(|(history, reached)| Truth { history, reached });
    // What is on it, what is told, whether somebody mounts it, whether the marks of a transfer are there.
    let volume = (proptest::option::weighted(0.9, truth), told(), proptest::bool::weighted(0.1), proptest::bool::weighted(0.2));
    (
        histories(),
        proptest::collection::vec(0..40_u64, 1..5),
        proptest::bool::weighted(0.8),
        proptest::collection::vec(volume, 0..5),
        proptest::collection::vec(proptest::bool::weighted(0.3), 5),
    )
        .prop_map(|(history, members, galera, volumes, accepted)| World { history, members, galera, volumes, accepted })
}

fn files(truth: Option<Truth>, told: Told, marked: bool) -> Fact<Disk> {
    let Some(truth) = truth else {
        return Fact::Known(Disk { empty: true, initialised: false, process: Process::None, ..disk(None) });
    };
    let state = |uuid: Uuid, seqno: Option<u64>| {
        StateFile::Parsed(Grastate { version: None, uuid, seqno, safe_to_bootstrap: Some(false) })
    };
    let last = Grastate { version: None, uuid: truth.history, seqno: Some(truth.reached), safe_to_bootstrap: Some(true) };
    let last = StateFile::Parsed(last);
    let view = Gvwstate {
        my_uuid: Uuid::from_u128(9),
        view_uuid: Uuid::from_u128(9),
        view_number: 3,
        bootstrap: false,
        members: BTreeMap::new().into_iter().collect(),
    };
    let view = StateFile::Parsed(view);
    let (grastate, gvwstate) = match told {
        Told::Clean => (state(truth.history, Some(truth.reached)), StateFile::Absent),
        Told::Last => (last, StateFile::Absent),
        Told::Killed => (state(truth.history, None), view),
        Told::Paused { behind } => (state(truth.history, Some(truth.reached.saturating_sub(behind))), view),
        Told::Zeroed => (state(Uuid::nil(), None), StateFile::Absent),
        Told::Cut => (StateFile::Empty, StateFile::Absent),
        Told::NoFile => (StateFile::Absent, StateFile::Absent),
        Told::Unreadable => {
            (StateFile::Malformed { text: "?".to_owned(), problem: "it has no `uuid:` line".to_owned() }, StateFile::Absent)
        }
        Told::Runs => (state(truth.history, Some(0)), StateFile::Absent),
        Told::NotRead => return Fact::Unknown(Why::NotRunning("its node is silent".to_owned())),
    };
    let process = if matches!(told, Told::Runs) { disk(None).process } else { Process::None };
    let transfer_markers = if marked { vec!["sst_in_progress".to_owned()] } else { Vec::new() };
    Fact::Known(Disk { grastate, gvwstate, process, transfer_markers, ..disk(None) })
}

fn claim(number: usize) -> Volume {
    Volume {
        name: format!("data-db-{number}"),
        uid: format!("uid-{number}"),
        labels: BTreeMap::new(),
        deletion: None,
        deleted_with: None,
        phase: "Bound".to_owned(),
        requested: None,
        capacity: None,
        class: None,
        volume: None,
        conditions: Vec::new(),
        resize: None,
    }
}

fn leftovers(world: &World) -> Vec<Leftover> {
    let first = world.members.len();
    let leftover = |(number, (truth, told, mounted, marked)): (usize, &(Option<Truth>, Told, bool, bool))| Leftover {
        pod: String::new(),
        ordinal: Ordinal(u32::try_from(first + number).unwrap()),
        claims: vec![claim(first + number)],
        used_by: Fact::Known(mounted.then(|| "somebody".to_owned()).into_iter().collect::<BTreeSet<_>>()),
        files: files(*truth, *told, *marked),
    };
    world.volumes.iter().enumerate().map(leftover).collect()
}

fn survivors(world: &World) -> Survivors {
    match world.members.iter().min() {
        Some(committed) if world.galera => Survivors::Galera { state_uuid: world.history, committed: *committed },
        _ => Survivors::Other(String::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(20_000)))]

    #[test]
    fn what_is_left_holds_everything_that_was_not_given_up_by_name(world in worlds()) {
        let (all, survivors) = (leftovers(&world), survivors(&world));
        let apart = apart(&all, &survivors);
        let parted = |(truth, told, ..): &(Option<Truth>, Told, bool, bool)| {
            matches!(told, Told::Last) && truth.is_some_and(|truth| truth.history == world.history)
        };
        let parted = world.volumes.iter().any(parted);
        let named = all.iter().filter_map(|left| match fate(left, apart, &survivors, &[]) {
            Fate::Stays { loss, .. } => loss,
            // Nothing is lost without being accepted.
            Fate::Goes { loss, .. } => { assert_eq!(loss, None); None }
        });
        let mut accepted: Vec<Loss> =
            named.zip(&world.accepted).filter(|(_, accepted)| **accepted).map(|(loss, _)| loss).collect();
        accepted.push(Loss("data-db-0:unknown:uid-0".to_owned()));
        for (left, (truth, told, mounted, _)) in all.iter().zip(&world.volumes) {
            let Fate::Goes { loss, .. } = fate(left, apart, &survivors, &accepted) else { continue };
            prop_assert!(!mounted, "somebody uses it");
            let Some(truth) = truth else { continue };
            if let Some(loss) = loss {
                let of = format!("{}:", left.claims[0].name);
                prop_assert!(accepted.contains(&loss) && loss.0.starts_with(&of), "{loss:?} was not accepted");
                continue;
            }
            prop_assert!(!matches!(told, Told::Last), "the members were founded without it");
            prop_assert!(!parted, "it may have been with the one that they were founded without");
            let held = world.galera && truth.history == world.history && world.members.iter().all(|reached| *reached >= truth.reached);
            prop_assert!(held, "{truth:?} of {told:?} is gone, and the members are at {:?} of {}", world.members, world.history);
        }
    }

    /// A loss fits one volume, and one position of it.
    #[test]
    fn no_loss_is_accepted_for_another_one(world in worlds()) {
        let (all, survivors) = (leftovers(&world), survivors(&world));
        let apart = apart(&all, &survivors);
        let losses: Vec<Loss> = all
            .iter()
            .filter_map(|left| match fate(left, apart, &survivors, &[]) { Fate::Stays { loss, .. } => loss, Fate::Goes { .. } => None })
            .collect();
        let different: BTreeSet<&str> = losses.iter().map(|loss| loss.0.as_str()).collect();
        prop_assert_eq!(different.len(), losses.len());
        for loss in &losses {
            let gone = |left: &&Leftover| matches!(fate(left, apart, &survivors, std::slice::from_ref(loss)), Fate::Goes { loss: Some(_), .. });
            prop_assert_eq!(all.iter().filter(gone).count(), 1);
        }
    }
}
