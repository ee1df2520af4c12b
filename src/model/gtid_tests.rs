use proptest::prelude::*;

use super::*;

fn list(text: &str) -> GtidList {
    text.parse().unwrap()
}

fn state(text: &str) -> GtidState {
    text.parse().unwrap()
}

#[test]
fn lists_are_read_in_every_form_servers_print() {
    for (text, printed) in [
        ("", ""),
        ("  \n", ""),
        ("0-11-4", "0-11-4"),
        ("0-11-5,5-11-1", "0-11-5,5-11-1"),
        (" 5-11-1 ,\n0-11-5 ", "0-11-5,5-11-1"),
        ("4294967295-4294967295-18446744073709551615", "4294967295-4294967295-18446744073709551615"),
    ] {
        assert_eq!(list(text).to_string(), printed, "{text:?}");
    }
    assert_eq!(state("0-12-3511,0-11-3514").to_string(), "0-12-3511,0-11-3514");
    for text in ["0", "0-1", "0-1-2-3", "0-1-", "a-1-2", "-1-1-2", "0-1-+2", "0-1-2,", "4294967296-1-1", "0-1-2 0-1-3"] {
        assert!(text.parse::<GtidList>().is_err(), "{text:?}");
    }
    assert!("0-1-2,0-3-4".parse::<GtidList>().unwrap_err().contains("domain 0 twice"));
    assert!("0-1-2,0-1-4".parse::<GtidState>().unwrap_err().contains("server 1 of domain 0 twice"));
}

#[test]
fn positions_compare_domain_by_domain() {
    use GtidOrder::{Ahead, Behind, Diverged, Equal, Incomparable};
    for (mine, theirs, expected) in [
        ("", "", Equal),
        ("0-11-4", "0-11-4", Equal),
        ("0-11-3", "0-11-4", Behind),
        ("0-11-3", "0-12-4", Behind),
        ("0-12-5,5-11-1", "0-11-4,5-11-1", Ahead),
        ("0-11-3516", "0-12-3516", Diverged),
        ("0-11-3516,5-11-1", "0-12-3516", Diverged),
        ("0-11-4", "", Incomparable),
        ("0-11-4", "0-11-4,5-11-1", Incomparable),
        ("1-11-4", "0-11-4", Incomparable),
        ("0-11-4,5-11-1", "0-11-3,5-11-2", Incomparable),
    ] {
        assert_eq!(list(mine).compare(&list(theirs)), expected, "{mine} against {theirs}");
    }
}

#[test]
fn a_position_covers_what_it_has_reached_in_every_domain_asked_for() {
    for (mine, theirs, expected) in [
        ("0-11-4", "0-11-4", true),
        ("0-12-5", "0-11-4", true),
        ("0-12-5,7-1-1", "0-11-4", true),
        ("0-12-4", "0-11-4", false),
        ("0-11-3", "0-11-4", false),
        ("0-11-4", "0-11-4,5-11-1", false),
        ("", "0-11-4", false),
        ("", "", true),
    ] {
        assert_eq!(list(mine).covers(&list(theirs)), expected, "{mine} against {theirs}");
    }
}

#[test]
fn errant_transactions_are_those_the_source_has_not_from_that_server() {
    let errant = |mine: &str, source: &str| -> Vec<String> {
        state(mine).errant_against(&state(source)).iter().map(ToString::to_string).collect()
    };
    // An old primary that committed twice after its last replicated transaction.
    assert_eq!(errant("0-12-3513", "0-12-3511,0-11-3514"), ["0-12-3512..3513"]);
    // A local write on a replica, next to the primary's own of the same number.
    assert_eq!(errant("0-12-3518,0-13-3519", "0-12-3519"), ["≤0-13-3519"]);
    assert_eq!(errant("0-12-3511,0-11-3514", "0-12-3511,0-11-3514"), [""; 0]);
    assert_eq!(errant("0-12-3511", "0-12-3511,0-11-3514"), [""; 0]);
    assert_eq!(errant("", "0-12-3511"), [""; 0]);
    assert_eq!(errant("0-12-1,5-12-1", "0-12-1"), ["5-12-1"]);
}

#[test]
fn without_a_usable_binlog_the_source_is_judged_by_its_position() {
    let errant = |mine: &str, position: &str| -> Vec<String> {
        state(mine).errant_after(&list(position)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(errant("0-12-3513", "0-12-3511"), ["0-12-3512..3513"]);
    assert_eq!(errant("0-11-200,0-12-3511", "0-12-3511"), [""; 0]);
    assert_eq!(errant("0-11-3516", "0-12-3516"), ["0-11-3516"]);
    assert_eq!(errant("0-11-3516,5-1-2", "0-12-9000"), ["≤5-1-2"]);
    assert_eq!(errant("0-11-2", ""), ["≤0-11-2"]);
}

#[test]
fn two_positions_of_one_server_make_the_further_one() {
    assert_eq!(list("0-11-5,5-11-1").furthest(&list("0-12-6,7-1-1")), list("0-12-6,5-11-1,7-1-1"));
}

fn gtid() -> impl Strategy<Value = Gtid> {
    (0..3u32, 1..4u32, 1..5u64).prop_map(|(domain, server, sequence)| Gtid { domain, server, sequence })
}

fn gtid_list() -> impl Strategy<Value = GtidList> {
    proptest::collection::vec(gtid(), 0..3)
        .prop_map(|gtids| GtidList(gtids.into_iter().map(|gtid| (gtid.domain, gtid)).collect()))
}

fn gtid_state() -> impl Strategy<Value = GtidState> {
    proptest::collection::btree_map((0..3u32, 1..4u32), 1..6u64, 0..6).prop_map(|state| {
        GtidState(state.into_iter().map(|((domain, server), sequence)| Gtid { domain, server, sequence }).collect())
    })
}

const fn reverse(order: GtidOrder) -> GtidOrder {
    match order {
        GtidOrder::Behind => GtidOrder::Ahead,
        GtidOrder::Ahead => GtidOrder::Behind,
        same => same,
    }
}

const fn at_most(order: GtidOrder) -> bool {
    matches!(order, GtidOrder::Equal | GtidOrder::Behind)
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(positions in gtid_list(), history in gtid_state()) {
        prop_assert_eq!(positions.to_string().parse(), Ok(positions));
        prop_assert_eq!(history.to_string().parse(), Ok(history));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9, -]*") {
        let _ = text.parse::<GtidList>();
        let _ = text.parse::<GtidState>();
    }

    #[test]
    fn comparing_is_a_partial_order(a in gtid_list(), b in gtid_list(), c in gtid_list()) {
        prop_assert_eq!(a.compare(&a), GtidOrder::Equal);
        prop_assert_eq!(a.compare(&b), reverse(b.compare(&a)));
        prop_assert_eq!(a.compare(&b) == GtidOrder::Equal, a == b);
        if at_most(a.compare(&b)) && at_most(b.compare(&c)) {
            prop_assert!(at_most(a.compare(&c)));
        }
    }

    #[test]
    fn being_behind_is_being_covered(a in gtid_list(), b in gtid_list()) {
        if at_most(a.compare(&b)) {
            prop_assert!(b.covers(&a));
        }
        if a.compare(&b) == GtidOrder::Diverged {
            prop_assert!(!a.covers(&b) || !b.covers(&a));
        }
        prop_assert!(a.furthest(&b).0.len() >= a.0.len());
    }

    #[test]
    fn errant_is_exactly_being_further_for_some_domain_and_server(mine in gtid_state(), source in gtid_state()) {
        let errant = mine.errant_against(&source);
        for gtid in &mine.0 {
            let known = source.sequence(gtid.domain, gtid.server);
            let found = errant.iter().find(|errant| (errant.domain, errant.server) == (gtid.domain, gtid.server));
            prop_assert_eq!(found.is_some(), gtid.sequence > known);
            prop_assert!(found.is_none_or(|errant| (errant.from, errant.to) == (known + 1, gtid.sequence)));
        }
        prop_assert!(errant.len() <= mine.0.len());
    }

    #[test]
    fn nobody_is_errant_against_a_source_that_went_on(mine in gtid_state(), more in 0..3u64) {
        let on = |gtid: &Gtid| Gtid { sequence: gtid.sequence + more, ..*gtid };
        prop_assert!(mine.errant_against(&GtidState(mine.0.iter().map(on).collect())).is_empty());
    }
}
