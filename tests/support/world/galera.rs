//! Galera as far as views, quorum and positions go: who reaches whom, which sets of members are Primary, what each server
//! says of itself. Members get states in no time; a moment in between is set by hand ([`Galera::force`]).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// One Galera cluster. Members are StatefulSet ordinals.
pub struct Galera {
    pub cluster_name: String,
    members: BTreeMap<u32, Node>,
    /// Starts of servers so far.
    incarnations: u32,
}

/// One member, running or not.
#[derive(Clone)]
struct Node {
    running: bool,
    /// Members of one side reach each other.
    side: u32,
    /// Identity in the group, new at each start.
    gcomm: Uuid,
    history: Uuid,
    seqno: u64,
    view: View,
    /// The last Primary view, as `mysql.wsrep_cluster_members` keeps it.
    table: BTreeMap<u32, (Uuid, Uuid)>,
    grastate: Grastate,
    /// Present unless it stopped cleanly.
    gvwstate: bool,
    /// Its data is marked as not to be trusted, whatever its server writes.
    marked: bool,
    /// Its server has started without a position and waits for a full copy.
    empty: bool,
    /// Full copies that it got.
    copies: u32,
    forced: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct View {
    primary: bool,
    conf_id: u64,
    members: BTreeSet<u32>,
}

#[derive(Clone)]
struct Grastate {
    history: Uuid,
    seqno: Option<u64>,
    safe: bool,
}

/// A made-up UUID that tells what it is for.
fn made_up(kind: u32, number: u32) -> Uuid {
    Uuid::from_fields(
        kind,
        0xe4f6,
        0x11f1,
        &[0xad, 0x8a, 0, 0, (number >> 24) as u8, (number >> 16) as u8, (number >> 8) as u8, number as u8],
    )
}

impl Galera {
    /// All members running, in one Primary component at seqno 10.
    pub fn healthy(cluster_name: &str, ordinals: impl IntoIterator<Item = u32>) -> Self {
        let history = made_up(0x2ec8_12f1, 1);
        let mut galera = Self { cluster_name: cluster_name.to_owned(), members: BTreeMap::new(), incarnations: 0 };
        let all: BTreeSet<u32> = ordinals.into_iter().collect();
        for ordinal in &all {
            let gcomm = galera.next_gcomm();
            galera.members.insert(
                *ordinal,
                Node {
                    running: true,
                    side: 0,
                    gcomm,
                    history,
                    seqno: 9,
                    view: View::default(),
                    table: BTreeMap::new(),
                    grastate: Grastate { history, seqno: None, safe: false },
                    gvwstate: true,
                    marked: false,
                    empty: false,
                    copies: 0,
                    forced: BTreeMap::new(),
                },
            );
        }
        let conf_id = all.len() as u64;
        galera.install(&all, conf_id);
        galera
    }

    fn next_gcomm(&mut self) -> Uuid {
        self.incarnations += 1;
        made_up(0x9c00_0000 + self.incarnations, self.incarnations)
    }

    /// A member on an empty volume, not started yet.
    pub fn add(&mut self, ordinal: u32) {
        let (gcomm, history) = (self.next_gcomm(), Uuid::nil());
        let node = Node {
            running: false,
            side: 0,
            gcomm,
            history,
            seqno: 0,
            view: View::default(),
            table: BTreeMap::new(),
            grastate: Grastate { history, seqno: None, safe: false },
            gvwstate: false,
            marked: true,
            empty: false,
            copies: 0,
            forced: BTreeMap::new(),
        };
        self.members.insert(ordinal, node);
    }

    fn node(&mut self, ordinal: u32) -> &mut Node {
        self.members.get_mut(&ordinal).expect("a member of this cluster")
    }

    pub fn runs(&self, ordinal: u32) -> bool {
        self.members[&ordinal].running
    }

    /// Whether it takes statements.
    pub fn serves(&self, ordinal: u32) -> bool {
        self.members[&ordinal].running && self.members[&ordinal].view.primary
    }

    /// `kill -9` of all these at one moment; the others notice.
    pub fn kill(&mut self, ordinals: &[u32]) {
        for ordinal in ordinals {
            self.node(*ordinal).running = false;
        }
        self.reform(&BTreeSet::new());
    }

    /// A clean stop: the position is saved, and the last one to leave is safe to start first.
    pub fn stop(&mut self, ordinal: u32) {
        let node = self.node(ordinal);
        let last = node.view.primary && node.view.members.len() == 1;
        node.grastate = Grastate { history: node.history, seqno: Some(node.seqno), safe: last };
        node.gvwstate = false;
        node.running = false;
        self.reform(&BTreeSet::from([ordinal]));
    }

    /// Starts a member: it joins the Primary component it reaches, or stays outside of any.
    pub fn start(&mut self, ordinal: u32) {
        let gcomm = self.next_gcomm();
        let node = self.node(ordinal);
        node.running = true;
        node.gcomm = gcomm;
        if std::mem::take(&mut node.marked) {
            (node.history, node.empty) = (Uuid::nil(), true);
        }
        // A server that left its group for good finds the others again when it starts.
        if node.side >= 1000 {
            node.side = 0;
        }
        node.view = View { primary: false, conf_id: 0, members: BTreeSet::from([ordinal]) };
        node.grastate = Grastate { history: node.history, seqno: None, safe: false };
        node.gvwstate = true;
        self.reform(&BTreeSet::new());
    }

    /// Starts a member with `--wsrep-new-cluster`: it is a Primary component alone, with the history it had. Galera refuses
    /// where the last clean stop was not the last one of the group, and the position is lost with the attempt.
    pub fn found(&mut self, ordinal: u32, lives: bool) {
        let gcomm = self.next_gcomm();
        let node = self.node(ordinal);
        let safe = node.grastate.safe;
        node.grastate = Grastate { history: node.history, seqno: None, safe: false };
        if !safe || !lives {
            return;
        }
        (node.running, node.gcomm, node.gvwstate) = (true, gcomm, true);
        self.install(&BTreeSet::from([ordinal]), 1);
    }

    /// A start script that marks its own data directory as safe.
    pub fn mark_safe(&mut self, ordinal: u32) {
        self.node(ordinal).grastate.safe = true;
    }

    /// Somebody takes that mark away again.
    pub fn mark_unsafe(&mut self, ordinal: u32) {
        self.node(ordinal).grastate.safe = false;
    }

    /// The sets of members that are Primary now.
    pub fn primaries(&self) -> BTreeSet<BTreeSet<u32>> {
        self.members.values().filter(|node| node.running && node.view.primary).map(|node| node.view.members.clone()).collect()
    }

    /// Cuts the network between these groups; who is in none stays where it is.
    pub fn cut(&mut self, groups: &[&[u32]]) {
        for (side, group) in groups.iter().enumerate() {
            for ordinal in *group {
                self.node(*ordinal).side = side as u32;
            }
        }
        self.reform(&BTreeSet::new());
    }

    /// The network is whole again. Two Primary components never become one by themselves.
    pub fn heal(&mut self) {
        for node in self.members.values_mut() {
            node.side = 0;
        }
        self.reform(&BTreeSet::new());
    }

    /// `pc.bootstrap=YES` on one member: its component becomes Primary.
    pub fn pc_bootstrap(&mut self, ordinal: u32) {
        let view = self.members[&ordinal].view.clone();
        let conf_id = self.highest_conf_id(&view.members) + 1;
        self.install(&view.members, conf_id);
    }

    /// Transactions on one member, replicated to its component.
    pub fn write(&mut self, ordinal: u32, transactions: u64) {
        let view = self.members[&ordinal].view.clone();
        assert!(view.primary, "a member outside of a Primary component takes no writes");
        for member in view.members {
            self.node(member).seqno += transactions;
        }
    }

    /// Makes one member say so, for moments that do not come from events: a status variable and its value.
    pub fn force(&mut self, ordinal: u32, variable: &str, value: &str) {
        self.node(ordinal).forced.insert(variable.to_owned(), value.to_owned());
    }

    /// A living server that left its group for good.
    pub fn disconnect(&mut self, ordinal: u32) {
        self.node(ordinal).side = 1000 + ordinal;
        self.reform(&BTreeSet::from([ordinal]));
        for (variable, value) in [
            ("wsrep_cluster_status", "Disconnected"),
            ("wsrep_connected", "OFF"),
            ("wsrep_cluster_size", "0"),
            ("wsrep_incoming_addresses", ""),
            ("wsrep_gcomm_uuid", ""),
            ("wsrep_evs_state", ""),
        ] {
            self.force(ordinal, variable, value);
        }
    }

    /// All lost their positions and formed a group without a history.
    pub fn lose_history(&mut self) {
        let all: BTreeSet<u32> = self.members.keys().copied().collect();
        for node in self.members.values_mut() {
            node.history = Uuid::nil();
            node.seqno = 0;
        }
        self.install(&all, 0);
    }

    /// New views after a change. `leaving` told the others, so they do not count.
    fn reform(&mut self, leaving: &BTreeSet<u32>) {
        let sides: BTreeSet<u32> = self.members.values().map(|node| node.side).collect();
        for side in sides {
            let here: BTreeSet<u32> =
                self.members.iter().filter(|(_, node)| node.running && node.side == side).map(|(ordinal, _)| *ordinal).collect();
            self.reform_side(&here, leaving);
        }
    }

    fn reform_side(&mut self, here: &BTreeSet<u32>, leaving: &BTreeSet<u32>) {
        let former: BTreeSet<BTreeSet<u32>> = here
            .iter()
            .map(|ordinal| &self.members[ordinal].view)
            .filter(|view| view.primary)
            .map(|view| view.members.clone())
            .collect();
        let mut alive = former.iter().filter(|members| {
            let counted: BTreeSet<u32> = members.difference(leaving).copied().collect();
            2 * counted.intersection(here).count() > counted.len()
        });
        match (alive.next(), alive.next()) {
            // Two Primary components that meet stay apart.
            (Some(_), Some(_)) => {}
            (Some(survivors), None) => {
                let same = survivors == here;
                let (survivors, here) = (survivors.clone(), here.clone());
                if !same {
                    self.transfer(&survivors, &here);
                    let conf_id = self.highest_conf_id(&here) + 1;
                    self.install(&here, conf_id);
                }
            }
            (None, _) => {
                for ordinal in here {
                    let view = &mut self.node(*ordinal).view;
                    view.primary = false;
                    view.members = here.clone();
                }
            }
        }
    }

    fn highest_conf_id(&self, members: &BTreeSet<u32>) -> u64 {
        members.iter().map(|ordinal| self.members[ordinal].view.conf_id).max().unwrap_or(0)
    }

    /// Newcomers get the state of those who were there, and forget what was forced on them.
    fn transfer(&mut self, survivors: &BTreeSet<u32>, here: &BTreeSet<u32>) {
        let donor = survivors.iter().find(|ordinal| here.contains(ordinal)).expect("a majority is here");
        let (history, seqno) = (self.members[donor].history, self.members[donor].seqno);
        for newcomer in here.difference(survivors) {
            let node = self.node(*newcomer);
            (node.history, node.seqno) = (history, seqno);
            node.forced.clear();
            if std::mem::take(&mut node.empty) {
                node.copies += 1;
                node.grastate.history = history;
            }
        }
    }

    /// A Primary view, which takes a number of its own in the history.
    fn install(&mut self, members: &BTreeSet<u32>, conf_id: u64) {
        let table: BTreeMap<u32, (Uuid, Uuid)> =
            members.iter().map(|ordinal| (*ordinal, (self.members[ordinal].gcomm, self.members[ordinal].history))).collect();
        for ordinal in members {
            let node = self.node(*ordinal);
            node.view = View { primary: true, conf_id, members: members.clone() };
            node.seqno += u64::from(!node.history.is_nil());
            // Written while it runs: the only member of the cluster may start it again, however it ends.
            node.grastate.safe = members.len() == 1;
            node.table.clone_from(&table);
        }
    }

    /// `SHOW GLOBAL STATUS LIKE 'wsrep%'`, on the base of a recorded healthy member.
    pub fn status(&self, ordinal: u32, address: impl Fn(u32) -> String) -> BTreeMap<String, String> {
        let recorded = include_str!("../../fixtures/galera-11.8/healthy-n1-status.tsv");
        let mut status: BTreeMap<String, String> = recorded
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let node = &self.members[&ordinal];
        let view = &node.view;
        let primary = |yes: &str, no: &str| if view.primary { yes.to_owned() } else { no.to_owned() };
        let addresses: Vec<String> = view.members.iter().map(|member| address(*member)).collect();
        let history = node.history.to_string();
        let local_history = if node.history.is_nil() { String::new() } else { history.clone() };
        let new = [
            ("wsrep_cluster_status", primary("Primary", "non-Primary")),
            ("wsrep_local_state", primary("4", "0")),
            ("wsrep_local_state_comment", primary("Synced", "Initialized")),
            ("wsrep_ready", primary("ON", "OFF")),
            ("wsrep_cluster_conf_id", primary(&view.conf_id.to_string(), &u64::MAX.to_string())),
            ("wsrep_cluster_weight", primary(&view.members.len().to_string(), "0")),
            ("wsrep_cluster_size", view.members.len().to_string()),
            ("wsrep_incoming_addresses", addresses.join(",")),
            ("wsrep_cluster_state_uuid", history),
            ("wsrep_local_state_uuid", local_history),
            ("wsrep_last_committed", node.seqno.to_string()),
            ("wsrep_local_cached_downto", "1".to_owned()),
            ("wsrep_gcomm_uuid", node.gcomm.to_string()),
        ];
        status.extend(new.into_iter().map(|(name, value)| (name.to_owned(), value)));
        status.extend(node.forced.clone());
        status
    }

    /// Rows of `mysql.wsrep_cluster_members`: member, its uuid, the cluster's.
    pub fn table(&self, ordinal: u32) -> Vec<(u32, Uuid, Uuid)> {
        self.members[&ordinal].table.iter().map(|(member, (gcomm, history))| (*member, *gcomm, *history)).collect()
    }

    /// What position recovery would tell.
    pub fn position(&self, ordinal: u32) -> String {
        let node = &self.members[&ordinal];
        format!("{}:{}", node.history, node.seqno)
    }

    /// Another history in one data directory.
    pub fn put_foreign(&mut self, ordinal: u32, seqno: u64) {
        let history = made_up(0x650a_de90, 2);
        let node = self.node(ordinal);
        (node.history, node.seqno) = (history, seqno);
        node.grastate = Grastate { history, seqno: Some(seqno), safe: false };
        node.gvwstate = false;
    }

    /// A member that has applied fewer transactions than the others when they all die.
    pub fn behind(&mut self, ordinal: u32, by: u64) {
        self.node(ordinal).seqno -= by;
    }

    /// A helper pod marks the data, beside a server or not.
    pub fn mark(&mut self, ordinal: u32) {
        self.node(ordinal).marked = true;
    }

    /// A new volume in the place of the old one.
    pub fn wipe(&mut self, ordinal: u32) {
        self.node(ordinal).marked = true;
    }

    /// Full copies that a member got.
    pub fn copies(&self, ordinal: u32) -> u32 {
        self.members[&ordinal].copies
    }

    pub fn grastate(&self, ordinal: u32) -> String {
        if self.members[&ordinal].marked {
            let nil = Uuid::nil();
            return format!("# GALERA saved state\nversion: 2.1\nuuid:    {nil}\nseqno:   -1\nsafe_to_bootstrap: 0\n");
        }
        let Grastate { history, seqno, safe } = &self.members[&ordinal].grastate;
        let seqno = seqno.map_or_else(|| "-1".to_owned(), |seqno| seqno.to_string());
        format!(
            "# GALERA saved state\nversion: 2.1\nuuid:    {history}\nseqno:   {seqno}\nsafe_to_bootstrap: {}\n",
            u8::from(*safe)
        )
    }

    /// What somebody writes into the file of a member that does not run.
    pub fn put_grastate(&mut self, ordinal: u32, text: &str) {
        let said =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect("a line of that key").trim().to_owned();
        let node = self.node(ordinal);
        assert!(!node.running, "nothing is written beside a server");
        let (history, safe) = (said("uuid:").parse().expect("a UUID"), said("safe_to_bootstrap:") == "1");
        node.grastate = Grastate { history, seqno: said("seqno:").parse().ok(), safe };
    }

    pub fn gvwstate(&self, ordinal: u32) -> Option<String> {
        let node = &self.members[&ordinal];
        let (view, number) = (node.table.values().next()?.0, node.view.conf_id);
        let members: String = node.table.values().map(|(gcomm, _)| format!("member: {gcomm} 0\n")).collect();
        let text = format!("my_uuid: {}\n#vwbeg\nview_id: 3 {view} {number}\nbootstrap: 0\n{members}#vwend\n", node.gcomm);
        (node.gvwstate && !node.marked).then_some(text)
    }
}
