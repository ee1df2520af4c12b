//! Quorum arithmetic of Galera: a component stays Primary if and only if
//! `weight(present) > ½ · (weight(last view) − weight(left cleanly))`, each member weighing its `pc.weight`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::names::Ordinal;

/// The votes of one Primary view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    total: u32,
    votes: BTreeMap<Ordinal, u32>,
}

impl Quorum {
    /// `total` is `wsrep_cluster_weight`: it counts every member of the view. `votes` are the `pc.weight` of those that could
    /// be asked; what is left of the total belongs to arbitrators, joiners and silent members.
    #[must_use]
    pub fn new(total: u32, votes: BTreeMap<Ordinal, u32>) -> Self {
        let known: u32 = votes.values().sum();
        Self { total: total.max(known), votes }
    }

    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// The weight of the members nobody could ask.
    #[must_use]
    pub fn unasked(&self) -> u32 {
        self.total - self.votes.values().sum::<u32>()
    }

    /// Whether the others stay Primary when all of `lost` vanish at one moment without a goodbye: killed, cut off, or stopped
    /// together, for two clean stops at the same instant are a gamble too. A member of unknown weight is taken for all that
    /// is unknown.
    #[must_use]
    pub fn survives_loss(&self, lost: impl IntoIterator<Item = Ordinal>) -> bool {
        self.holds(self.weight(lost), 0)
    }

    /// Whether the others stay Primary when one member leaves cleanly and nothing else happens meanwhile.
    #[must_use]
    pub fn survives_leave(&self, leaving: Ordinal) -> bool {
        let left = self.weight([leaving]);
        self.holds(left, left)
    }

    /// The votes after one member has left cleanly.
    #[must_use]
    pub fn without(&self, left: Ordinal) -> Self {
        let mut votes = self.votes.clone();
        votes.remove(&left);
        Self { total: self.total - self.weight([left]), votes }
    }

    /// The votes after one more member has joined, with the weight that each has unless somebody says otherwise.
    #[must_use]
    pub fn with(&self, joined: Ordinal) -> Self {
        let mut votes = self.votes.clone();
        votes.insert(joined, 1);
        Self { total: self.total + 1, votes }
    }

    /// How many members may vanish at one moment, whichever they are. Of the members nobody could ask, the worst is assumed.
    #[must_use]
    pub fn spare(&self) -> usize {
        let mut weights: Vec<u32> = self.votes.values().copied().chain([self.unasked()]).collect();
        weights.sort_unstable_by_key(|weight| Reverse(*weight));
        (1..=self.votes.len()).take_while(|count| self.holds(weights[..*count].iter().sum(), 0)).count()
    }

    fn weight(&self, members: impl IntoIterator<Item = Ordinal>) -> u32 {
        let (mut known, mut unknown) = (0, 0);
        for member in members {
            match self.votes.get(&member) {
                Some(weight) => known += weight,
                None => unknown = self.unasked(),
            }
        }
        known + unknown
    }

    /// `gone` is everybody who is not there any more, `left` those of them who said goodbye.
    const fn holds(&self, gone: u32, left: u32) -> bool {
        2 * (self.total - gone) as u64 > (self.total - left) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Members 0, 1 … with these weights, and as much again nobody could ask.
    fn quorum(weights: &[u32], unasked: u32) -> Quorum {
        let votes: BTreeMap<Ordinal, u32> = (0..).map(Ordinal).zip(weights.iter().copied()).collect();
        Quorum::new(weights.iter().sum::<u32>() + unasked, votes)
    }

    #[test]
    fn losses_clusters_of_every_size_survive() {
        for (weights, unasked, lost, survives) in [
            (&[1][..], 0, &[0][..], false),
            (&[1, 1], 0, &[1], false),
            (&[1, 1, 1], 0, &[2], true),
            (&[1, 1, 1], 0, &[1, 2], false),
            (&[1, 1, 1, 1], 0, &[3], true),
            (&[1, 1, 1, 1], 0, &[2, 3], false),
            (&[1, 1, 1, 1, 1], 0, &[3, 4], true),
            (&[1, 1, 1, 1, 1], 0, &[2, 3, 4], false),
            // Two members and an arbitrator.
            (&[1, 1], 1, &[1], true),
            (&[1, 1], 1, &[0, 1], false),
            // A member that could not be asked is taken for all the unknown weight.
            (&[1, 1], 1, &[2], true),
            (&[1, 1], 2, &[2], false),
            // One member weighs more.
            (&[2, 1], 0, &[1], true),
            (&[2, 1], 0, &[0], false),
            (&[3, 1, 1], 0, &[1, 2], true),
            (&[0, 1], 0, &[0], true),
        ] {
            let lost: Vec<Ordinal> = lost.iter().copied().map(Ordinal).collect();
            assert_eq!(quorum(weights, unasked).survives_loss(lost.clone()), survives, "{weights:?}+{unasked} without {lost:?}");
        }
    }

    #[test]
    fn any_number_can_be_lost_up_to_the_spare() {
        for (weights, unasked, spare) in [
            (&[1][..], 0, 0),
            (&[1, 1], 0, 0),
            (&[1, 1, 1], 0, 1),
            (&[1; 4], 0, 1),
            (&[1; 5], 0, 2),
            (&[1, 1], 1, 1),
            (&[2, 1], 0, 0),
        ] {
            assert_eq!(quorum(weights, unasked).spare(), spare, "{weights:?}+{unasked}");
        }
    }

    #[test]
    fn members_can_leave_cleanly_one_by_one_down_to_the_last() {
        let three = quorum(&[1, 1, 1], 0);
        let two = three.without(Ordinal(2));
        let one = two.without(Ordinal(1));
        assert!(three.survives_leave(Ordinal(2)) && two.survives_leave(Ordinal(1)) && !one.survives_leave(Ordinal(0)));
        assert!(three.survives_loss([Ordinal(2)]) && !two.survives_loss([Ordinal(1)]));
        assert_eq!(one, quorum(&[1], 0));
    }

    fn members() -> impl Strategy<Value = Quorum> {
        (proptest::collection::vec(0..4u32, 1..6), 0..3u32).prop_map(|(weights, unasked)| quorum(&weights, unasked))
    }

    proptest! {
        #[test]
        fn a_clean_leave_is_never_worse_than_a_loss(quorum in members(), member in 0..6u32) {
            if quorum.survives_loss([Ordinal(member)]) {
                prop_assert!(quorum.survives_leave(Ordinal(member)));
            }
        }

        #[test]
        fn losing_more_never_helps(quorum in members(), lost in proptest::collection::btree_set(0..6u32, 0..4), more in 0..6u32) {
            let with_more: std::collections::BTreeSet<u32> = lost.iter().copied().chain([more]).collect();
            if quorum.survives_loss(with_more.into_iter().map(Ordinal)) {
                prop_assert!(quorum.survives_loss(lost.into_iter().map(Ordinal)));
            }
        }

        #[test]
        fn the_two_halves_of_a_cut_are_never_both_primary(quorum in members(), half in proptest::collection::btree_set(0..5u32, 0..5)) {
            let all: Vec<Ordinal> = (0..6).map(Ordinal).collect();
            let (one, other): (Vec<Ordinal>, Vec<Ordinal>) = all.into_iter().partition(|member| half.contains(&member.0));
            prop_assert!(!(quorum.survives_loss(one) && quorum.survives_loss(other)));
        }

        #[test]
        fn up_to_the_spare_any_members_may_go(quorum in members(), lost in proptest::collection::btree_set(0..5u32, 0..5)) {
            if !lost.is_empty() && lost.len() <= quorum.spare() {
                prop_assert!(quorum.survives_loss(lost.into_iter().map(Ordinal)));
            }
        }
    }
}
