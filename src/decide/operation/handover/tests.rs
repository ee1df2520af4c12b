//! The way there and back, step by step.

use super::*;
use crate::model::fact::Fact;
use crate::model::testing::{healthy_replication, noon, server_of, silence};

/// db-0 is the primary, and a Service leads to it alone.
fn cluster() -> Snapshot {
    let mut seen = healthy_replication();
    let Fact::Known(services) = &mut seen.objects.services else { panic!("services") };
    let mut clients = Service { name: "db-sql".to_owned(), publishes_not_ready: false, ..services[0].clone() };
    clients.selector.insert(POD_LABEL.to_owned(), "db-0".to_owned());
    services.push(clients);
    seen
}

fn selector(seen: &mut Snapshot) -> &mut String {
    let Fact::Known(services) = &mut seen.objects.services else { panic!("services") };
    services[1].selector.get_mut(POD_LABEL).unwrap()
}

fn handover(seen: &Snapshot) -> Result<Handover, Refusal> {
    Handover::of(seen, Ordinal(0), Ordinal(1)).unwrap()
}

fn ids(handover: &Handover, seen: &Snapshot) -> Result<Vec<String>, String> {
    handover.left(seen).map(|steps| steps.into_iter().map(|step| step.id).collect())
}

/// What a step does to the servers.
fn act(seen: &mut Snapshot, step: &Step) {
    match &step.act {
        Action::Close { ordinal } => server_of(seen, ordinal.0).read_only = true,
        Action::Follow { ordinals, source, .. } => {
            let channel = server_of(seen, 2).channels[0].clone();
            for ordinal in ordinals {
                let source_host = channel.source_host.replacen(|digit: char| digit.is_ascii_digit(), &source.0.to_string(), 1);
                let position = server_of(seen, ordinal.0).gtid.current_pos.clone();
                let server = server_of(seen, ordinal.0);
                server.gtid.slave_pos = position;
                server.channels = vec![Channel { source_host, ..channel.clone() }];
            }
        }
        Action::Lead { to, .. } => *selector(seen) = seen.pod_name(*to),
        Action::Promote { ordinal } => {
            let server = server_of(seen, ordinal.0);
            (server.read_only, server.channels) = (false, Vec::new());
        }
        other => panic!("{other:?}"),
    }
}

fn begun(step: &Step) -> Begun {
    Begun::new(step, noon())
}

#[test]
fn each_step_leads_to_the_next_and_from_each_there_is_a_way_back_until_the_promotion() {
    const ALL: [&str; 5] = ["close db-0", "follow db-1", "lead clients to db-1", "promote db-1", "note db-1"];
    let mut seen = cluster();
    let mut handover = handover(&seen).unwrap();
    assert_eq!(handover.services, ["db-sql"]);
    let mut done: Vec<Begun> = Vec::new();
    for number in 0..ALL.len() {
        handover.promoting = number == 4;
        assert_eq!(ids(&handover, &seen).unwrap(), ALL[number..]);
        let mut back = handover.taken_back(&seen, &done).unwrap();
        match number {
            0 => assert_eq!(back, []),
            4 => assert_eq!(back, handover.left(&seen).unwrap(), "never the old one once more (F6)"),
            _ => {
                // The others need not even answer.
                let mut again = seen.clone();
                server_of(&mut again, 1).gtid.slave_pos = "".parse().unwrap();
                let called_off = handover.called_off(&again, &done);
                assert!(called_off.iter().any(|step| step.id == "promote db-0"), "{called_off:?}");
                let mut unseen = seen.clone();
                unseen.objects.services = Fact::Unknown(Why::Forbidden("list services".to_owned()));
                let called_off = handover.called_off(&unseen, &done);
                assert!(called_off.iter().any(|step| step.id == "promote db-0"), "{called_off:?}");
                while back.len() > 1 {
                    act(&mut again, &back[0]);
                    back = handover.taken_back(&again, &done).unwrap();
                }
                assert_eq!(back[0].id, "note db-0");
                assert_eq!(*selector(&mut again), "db-0");
                assert!(!server_of(&mut again, 0).read_only && server_of(&mut again, 1).read_only);
                assert!(server_of(&mut again, 2).channels[0].source_host.starts_with("db-0."));
                assert_eq!(handover.called_off(&again, &done), [], "it takes writes");
            }
        }
        let step = handover.left(&seen).unwrap().remove(0);
        done.push(begun(&step));
        if number < 4 {
            act(&mut seen, &step);
        }
    }
    assert_eq!(handover.called_off(&seen, &done), []);
}

/// Some accounts write on a server that is read-only.
#[test]
fn nobody_is_promoted_while_somebody_writes_and_nobody_is_replaced_who_has_more() {
    let mut seen = cluster();
    let handover = handover(&seen).unwrap();
    let mut later = seen.clone();
    server_of(&mut later, 0).gtid.binlog_state = "0-10-3515".parse().unwrap();
    assert_eq!(handover.confirmed(&seen, &later), Ok(()), "it is open");
    for look in [&mut seen, &mut later] {
        server_of(look, 0).read_only = true;
    }
    assert!(handover.confirmed(&seen, &later).unwrap_err().contains("somebody writes on db-0"));
    assert_eq!(handover.confirmed(&later, &later), Ok(()));
    while let Some(step) = handover.left(&seen).unwrap().first().filter(|step| step.id != "note db-1") {
        act(&mut seen, step);
    }
    server_of(&mut seen, 0).gtid.binlog_state = "0-10-3515".parse().unwrap();
    assert!(ids(&handover, &seen).unwrap_err().contains("db-0 has transactions that db-1 lacks"));
}

#[test]
fn nobody_is_promoted_who_lacks_anything() {
    let mut seen = cluster();
    let handover = handover(&seen).unwrap();
    server_of(&mut seen, 0).read_only = true;
    for lacks in ["0-10-3513", "0-11-3514", ""] {
        for ordinal in [1, 2] {
            let mut seen = seen.clone();
            let server = server_of(&mut seen, ordinal);
            (server.gtid.slave_pos, server.gtid.binlog_pos) = (lacks.parse().unwrap(), lacks.parse().unwrap());
            let why = ids(&handover, &seen).unwrap_err();
            assert_eq!(why, format!("db-{ordinal} has not applied all that db-0 has written"));
        }
    }
    server_of(&mut seen, 0).gtid.binlog_pos = "".parse().unwrap();
    assert!(ids(&handover, &seen).unwrap_err().contains("does not tell"), "an empty position proves nothing");
    let mut both = cluster();
    let server = server_of(&mut both, 1);
    (server.read_only, server.channels) = (false, Vec::new());
    assert!(ids(&handover, &both).unwrap_err().contains("both take writes"));
}

#[test]
fn who_was_told_is_waited_for() {
    let mut seen = cluster();
    let handover = handover(&seen).unwrap();
    for _ in 0..2 {
        let step = handover.left(&seen).unwrap().remove(0);
        act(&mut seen, &step);
    }
    server_of(&mut seen, 0).channels[0].io = IoThread::Connecting;
    assert_eq!(ids(&handover, &seen).unwrap_err(), "db-0 does not replicate from db-1 yet");
    server_of(&mut seen, 0).channels[0].io = IoThread::No;
    assert_eq!(ids(&handover, &seen).unwrap()[0], "follow db-1", "it was not started");
}

#[test]
fn what_cannot_be_moved_is_refused_before_anything_is_done() {
    let refused = |change: &dyn Fn(&mut Snapshot)| {
        let mut seen = cluster();
        change(&mut seen);
        let refusal = self::handover(&seen).unwrap_err();
        format!("{} {}", refusal.rule.code, refusal.because.join(" "))
    };
    assert!(refused(&|seen| *selector(seen) = "db-2".to_owned()).contains("MDB739 no Service selects db-0"));
    let channel = |change: fn(&mut Channel)| refused(&|seen| change(&mut server_of(seen, 2).channels[0]));
    assert!(channel(|channel| channel.name = "other".to_owned()).contains("db-2 replicates by a connection with a name"));
    assert!(channel(|channel| channel.uses_gtid = false).contains("does not replicate by GTID"));
    assert!(channel(|channel| channel.delay_seconds = 60).contains("is meant to be 60 s behind"));
    assert!(
        channel(|channel| channel.filters = vec!["Replicate_Do_DB: shop".to_owned()])
            .contains("only a part (Replicate_Do_DB: shop)")
    );
    assert!(refused(&|seen| server_of(seen, 2).read_only = false).contains("db-2 is not read-only"));
    let alone = |seen: &mut Snapshot| {
        let id = server_of(seen, 1).server_id;
        server_of(seen, 1).gtid.binlog_state = format!("0-10-3514,0-{id}-3513").parse().unwrap();
    };
    assert!(refused(&alone).contains("db-1 has transactions that db-0 lacks"));
    assert!(channel(|channel| channel.source_host = "db-primary".to_owned()).contains("follows it as db-primary"));
    let current = |position: &str| {
        let mut seen = cluster();
        server_of(&mut seen, 0).gtid.current_pos = position.parse().unwrap();
        seen
    };
    for wrong in ["0-11-9", ""] {
        let refusal = handover(&current(wrong)).unwrap_err();
        assert!(refusal.because[0].contains("gtid_current_pos of db-0"), "{refusal:?}");
    }
    // A client wrote between the two answers of one server. When none can any more they have to agree.
    let mut written = current("0-10-3513");
    let handover = handover(&written).unwrap();
    server_of(&mut written, 0).read_only = true;
    assert!(ids(&handover, &written).unwrap_err().contains("gtid_current_pos of db-0"));
    assert!(refused(&|seen| server_of(seen, 1).binlog.logs_replicated = false).contains("log_slave_updates"));
    let mut unseen = cluster();
    unseen.objects.services = Fact::Unknown(Why::Forbidden("list services".to_owned()));
    assert!(Handover::of(&unseen, Ordinal(0), Ordinal(1)).is_err());
}

/// The one that closed the primary died, and somebody has made another one the primary by hand, as `status` says (MDB301).
#[test]
fn nobody_is_opened_beside_one_that_takes_writes() {
    let mut seen = cluster();
    let handover = handover(&seen).unwrap();
    let done = [begun(&close(&seen, Ordinal(0)))];
    server_of(&mut seen, 0).read_only = true;
    let open = |ordinal: u32| {
        let mut seen = seen.clone();
        let server = server_of(&mut seen, ordinal);
        (server.read_only, server.channels) = (false, Vec::new());
        seen
    };
    // The one that was to have it has it: it keeps it, and the others follow.
    let theirs = open(1);
    assert_eq!(handover.called_off(&theirs, &done), []);
    for steps in [handover.taken_back(&theirs, &done).unwrap(), handover.left(&theirs).unwrap()] {
        let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["follow db-1", "lead clients to db-1", "note db-1"]);
    }
    let another = open(2);
    assert_eq!(handover.called_off(&another, &done), []);
    assert!(handover.taken_back(&another, &done).unwrap_err().contains("db-2 takes writes, so db-0 must not"));
    assert!(ids(&handover, &another).unwrap_err().contains("db-2 takes writes, so db-1 must not"));
    assert_eq!(handover.closed(&another, &done), None, "somebody takes writes");
    assert!(handover.closed(&seen, &done).unwrap().contains("`operation abort` opens it"));
    // Nobody replicates any more, so nobody tells how: it is noted without.
    let mut two = open(1);
    server_of(&mut two, 2).channels.clear();
    assert_eq!(handover.taken_back(&two, &done).unwrap()[0].id, "lead clients to db-1");
}

/// Everybody had everything when the promotion was begun: no client waits for a server that went away since.
#[test]
fn what_was_begun_to_be_promoted_waits_for_nobody() {
    let mut seen = cluster();
    let mut handover = handover(&seen).unwrap();
    while let Some(step) = handover.left(&seen).unwrap().first().filter(|step| step.id != "promote db-1") {
        act(&mut seen, step);
    }
    let done = [begun(&close(&seen, Ordinal(0)))];
    handover.promoting = true;
    for gone in [0, 2] {
        let mut seen = seen.clone();
        silence(&mut seen, gone);
        assert_eq!(ids(&handover, &seen).unwrap(), ["promote db-1", "note db-1"]);
        assert!(handover.closed(&seen, &done).unwrap().contains("`operation resume` goes on"));
        assert_eq!(handover.taken_back(&seen, &done), handover.left(&seen));
        // And when it is: whoever takes the operation back is not kept by who does not answer, nor by who wrote alone.
        let promote = handover.left(&seen).unwrap().remove(0);
        act(&mut seen, &promote);
        assert!(ids(&handover, &seen).is_err(), "it goes on only with everybody");
        assert_eq!(handover.taken_back(&seen, &done).unwrap().last().unwrap().id, "note db-1");
    }
    let promote = handover.left(&seen).unwrap().remove(0);
    act(&mut seen, &promote);
    server_of(&mut seen, 0).gtid.binlog_state = "0-10-3515".parse().unwrap();
    assert!(ids(&handover, &seen).unwrap_err().contains("`operation abort`"));
    assert_eq!(handover.taken_back(&seen, &done).unwrap().last().unwrap().id, "note db-1");
}

/// What is not seen may be closed.
#[test]
fn a_primary_that_does_not_answer_is_opened_before_anybody_leaves() {
    let mut seen = cluster();
    let handover = handover(&seen).unwrap();
    let done = [begun(&close(&seen, Ordinal(0)))];
    silence(&mut seen, 0);
    assert_eq!(handover.called_off(&seen, &[]), [], "it was not closed");
    assert_eq!(handover.called_off(&seen, &done)[0].id, "promote db-0");
}
