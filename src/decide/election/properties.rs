//! What holds for every set of data directories. The expectations are computed from what was generated, not from the election.

use std::sync::LazyLock;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::disk::{Disk, Process, StateFile};
use crate::model::fact::Fact;
use crate::model::position::Position;
use crate::model::recovered::RecoveredBy;
use crate::model::testing::{healthy_galera, pod, server, snapshot};

/// A generated data directory, with the truth that nobody can see.
#[derive(Clone, Debug)]
struct Made {
    /// 0: the nil UUID.
    history: u8,
    /// What InnoDB would tell.
    seqno: u64,
    /// The file tells it.
    saved: bool,
    /// The file tells another one: saved while the provider was paused.
    stale: bool,
    gvwstate: bool,
    safe: bool,
    grastate: u8,
    markers: bool,
    initialised: bool,
    readable: bool,
    running: bool,
    /// 0: not tried, 1: told by a helper, 2: told by the log of the last start, 3: failed.
    recovered: u8,
}

fn made() -> impl Strategy<Value = Made> {
    let files = (prop_oneof![8 => Just(1u8), 1 => Just(2), 1 => Just(0)], 0..6u64, any::<bool>(), any::<bool>());
    let marks = (prop::bool::weighted(0.3), prop::bool::weighted(0.3), prop_oneof![9 => Just(0u8), 1 => 1..4u8]);
    let rare = (prop::bool::weighted(0.1), prop::bool::weighted(0.95), prop::bool::weighted(0.95), prop::bool::weighted(0.1));
    (files, marks, rare, prop_oneof![2 => Just(0u8), 4 => Just(1), 1 => Just(2), 1 => Just(3)]).prop_map(
        |((history, seqno, saved, safe), (gvwstate, stale, grastate), (markers, initialised, readable, running), recovered)| {
            Made {
                history,
                seqno,
                saved,
                stale: stale && gvwstate,
                gvwstate,
                safe,
                grastate,
                markers,
                initialised,
                readable,
                running,
                recovered,
            }
        },
    )
}

fn history(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

impl Made {
    fn uuid(&self) -> Uuid {
        history(self.history)
    }

    /// A transfer into it was cut, or there is nothing in it.
    fn half(&self) -> bool {
        self.markers || !self.initialised || self.grastate == 1
    }

    fn whole(&self) -> bool {
        self.readable && !self.half() && self.grastate == 0 && self.history != 0
    }

    fn grastate(&self) -> StateFile<crate::model::grastate::Grastate> {
        let seqno = if self.stale { Some(self.seqno.saturating_sub(1)) } else { self.saved.then_some(self.seqno) };
        let text = format!(
            "uuid: {}\nseqno: {}\nsafe_to_bootstrap: {}\n",
            self.uuid(),
            seqno.map_or("-1".to_owned(), |seqno| seqno.to_string()),
            u8::from(self.safe)
        );
        let bytes: Option<&[u8]> = match self.grastate {
            0 => Some(text.as_bytes()),
            1 => Some(b""),
            2 => None,
            _ => Some(b"nonsense"),
        };
        StateFile::read(bytes, crate::model::grastate::Grastate::parse)
    }
}

/// The look at these directories; none of their servers answers.
fn world(made: &[Made]) -> (Snapshot, BTreeMap<Ordinal, Recovered>) {
    // Parsing recorded servers anew for each case would be most of the work.
    static BASE: LazyLock<(Snapshot, Disk)> = LazyLock::new(|| {
        let running = healthy_galera().members[&Ordinal(0)].files.known().unwrap().clone();
        (snapshot((0..5).map(server)), running)
    });
    let (mut seen, running) = BASE.clone();
    let count = u32::try_from(made.len()).unwrap();
    seen.members.retain(|ordinal, _| ordinal.0 < count);
    let mut recovered = BTreeMap::new();
    for (ordinal, made) in (0..).zip(made) {
        let ordinal = Ordinal(ordinal);
        let member = seen.members.get_mut(&ordinal).unwrap();
        let mut down = pod(ordinal.0);
        down.containers.clear();
        member.pod = Some(down);
        let why = Why::NotRunning("there is no server".to_owned());
        member.server = Fact::Unknown(why.clone());
        let mut disk = running.clone();
        disk.grastate = made.grastate();
        if !made.gvwstate {
            disk.gvwstate = StateFile::Absent;
        }
        disk.transfer_markers = if made.markers { vec!["sst_in_progress".to_owned()] } else { Vec::new() };
        disk.initialised = made.initialised;
        disk.process = if made.running { Process::Running { pid: 1, state: 'S', listening: vec![4567] } } else { Process::None };
        member.files = if made.readable { Fact::Known(disk) } else { Fact::Unknown(why) };
        let position = Position { uuid: made.uuid(), seqno: Some(made.seqno), gtid: None };
        let told = match made.recovered {
            1 => Some((RecoveredBy::Helper, Fact::Known(position))),
            2 => Some((RecoveredBy::StartLog, Fact::Known(position))),
            3 => Some((RecoveredBy::Helper, Fact::Unknown(Why::Failed("it failed".to_owned())))),
            _ => None,
        };
        if let Some((by, position)) = told {
            recovered.insert(ordinal, Recovered { by, position });
        }
    }
    (seen, recovered)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(12_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_choice_loses_a_known_row_mixes_histories_or_trusts_a_half_copy(made in proptest::collection::vec(made(), 1..5)) {
        let (seen, recovered) = world(&made);
        let election = elect(&seen, &recovered);
        let Outcome::Elected { ordinal, tied } = &election.outcome else {
            // A refusal says why, and what could be done about it is no less than what is missing.
            let refused = matches!(&election.outcome, Outcome::Refused(reasons) if !reasons.is_empty());
            prop_assert!(refused, "{election:#?}");
            return Ok(());
        };
        let chosen = &made[ordinal.0 as usize];
        prop_assert!(chosen.whole(), "a directory that is not whole was chosen: {chosen:?}");
        prop_assert!(made.iter().all(|other| other.readable), "what an unread one holds is unknown");
        let others = || made.iter().filter(|other| !other.half());
        let histories: BTreeSet<u8> = others().map(|other| other.history).filter(|history| *history != 0).collect();
        prop_assert_eq!(histories.len(), 1, "it chose between histories");
        // Whatever is true of the others, not only what the election took for known.
        let ahead: Vec<&Made> = others().filter(|other| other.history == chosen.history && other.seqno > chosen.seqno).collect();
        prop_assert!(ahead.is_empty(), "{ahead:?} is ahead of {chosen:?}");
        prop_assert!(election.candidates[ordinal].losses.is_empty());
        for tied in tied {
            prop_assert_eq!(made[tied.0 as usize].seqno, chosen.seqno);
            prop_assert!(made[tied.0 as usize].whole());
        }
        prop_assert_eq!(election.candidates[ordinal].at().map(|at| (at.uuid, at.seqno)), Some((chosen.uuid(), chosen.seqno)));
    }

    #[test]
    fn recovery_is_offered_only_for_directories_at_rest_and_after_all_were_read(made in proptest::collection::vec(made(), 1..5)) {
        let (seen, recovered) = world(&made);
        let election = elect(&seen, &recovered);
        for ordinal in election.to_recover(&seen) {
            let made = &made[ordinal.0 as usize];
            prop_assert!(made.readable && !made.running && !made.half() && made.recovered != 1 && made.recovered != 3, "{made:?}");
        }
        prop_assert_eq!(election.all_read(), made.iter().all(|made| made.readable));
    }

    /// With everything whole, at rest and recovered, there is nothing left to refuse.
    #[test]
    fn whole_directories_of_one_history_always_elect(seqnos in proptest::collection::vec((0..9u64, any::<bool>()), 1..6)) {
        let whole = |(seqno, saved): &(u64, bool)| Made {
            history: 1, seqno: *seqno, saved: *saved, stale: false, gvwstate: !saved, safe: false, grastate: 0, markers: false,
            initialised: true, readable: true, running: false, recovered: u8::from(!saved),
        };
        let made: Vec<Made> = seqnos.iter().map(whole).collect();
        let (seen, recovered) = world(&made);
        let outcome = elect(&seen, &recovered).outcome;
        let highest = seqnos.iter().map(|(seqno, _)| *seqno).max().unwrap();
        let Outcome::Elected { ordinal, tied } = outcome else { return Err(TestCaseError::fail(format!("{outcome:?}"))) };
        prop_assert_eq!(made[ordinal.0 as usize].seqno, highest);
        prop_assert_eq!(tied.len() + 1, seqnos.iter().filter(|(seqno, _)| *seqno == highest).count());
    }
}
