//! Every volume that is or was one of MariaDB's, and what there is to say about it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::model::disk::Space;
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::StatefulSet;
use crate::model::snapshot::{Member, Snapshot};
use crate::model::volumes::{Holds, Volume};

use super::belongs::{Belongs, By, belongs};
use super::data_template;
use super::prune::{Fate, Leftover, Mounts, Survivors, apart, fate, leftovers, survivors};

/// What was seen of one namespace.
pub struct Seen<'a> {
    pub namespace: &'a str,
    /// Clusters, with files of left-over volumes where they were read, by the name of the claim.
    pub clusters: &'a [Snapshot],
    pub volumes: &'a [Volume],
    pub mounts: &'a Fact<Mounts>,
    /// The names of all sets.
    pub sets: &'a Fact<BTreeSet<String>>,
    /// Reclaim policies by `PersistentVolume`.
    pub reclaim: &'a Fact<BTreeMap<String, String>>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub namespace: String,
    pub volume: Volume,
    pub belongs: Belongs,
    pub mounted_by: Fact<BTreeSet<String>>,
    pub used: Fact<Space>,
    pub stands: Stands,
    pub reclaim: Fact<String>,
    pub verdict: Verdict,
}

/// How far the data on a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    Galera {
        uuid: Uuid,
        seqno: u64,
    },
    Gtid(String),
    Empty,
    /// It holds no data directory: configuration, logs.
    NoData,
    Unknown(Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    InUse,
    /// A member is to use it, and its pod is not there.
    Wanted,
    /// Left over, and `pvc prune` would delete it if a second look says the same.
    MayGo(String),
    Keep(String),
    Going,
}

/// The claims of all clusters and of those that are gone, as far as names and labels tell.
#[must_use]
pub fn entries(seen: &Seen<'_>, only: Option<&str>) -> Vec<Entry> {
    let sets: Vec<&StatefulSet> = seen.clusters.iter().map(|cluster| &cluster.objects.stateful_set).collect();
    let all = seen.sets.known().ok();
    let judged: BTreeMap<&str, Judged> =
        seen.clusters.iter().map(|cluster| (cluster.target.name.as_str(), Judged::of(cluster, seen))).collect();
    let entry = |volume: &Volume| {
        let belongs = belongs(volume, &sets, all).filter(|found| only.is_none_or(|only| only == found.set))?;
        let cluster = seen.clusters.iter().find(|cluster| cluster.target.name == belongs.set);
        Some(of(volume, belongs, cluster, seen, &judged))
    };
    let mut entries: Vec<Entry> = seen.volumes.iter().filter_map(entry).collect();
    entries.sort_by(|a, b| {
        let place = |entry: &Entry| (entry.belongs.set.clone(), entry.belongs.ordinal, entry.volume.name.clone());
        place(a).cmp(&place(b))
    });
    entries
}

/// What a cluster's members say of its left-over volumes.
struct Judged {
    survivors: Result<Survivors, Vec<String>>,
    leftovers: Vec<Leftover>,
}

impl Judged {
    fn of(cluster: &Snapshot, seen: &Seen<'_>) -> Self {
        let mut leftovers = leftovers(cluster, seen.volumes, seen.mounts);
        for left in &mut leftovers {
            if let Some(member) = cluster.members.get(&left.ordinal).filter(|member| member.pod.is_none()) {
                left.files = member.files.clone();
            }
        }
        Self { survivors: survivors(cluster), leftovers }
    }

    fn verdict(&self, volume: &Volume) -> Verdict {
        let of = |left: &&Leftover| left.claims.iter().any(|claim| claim.uid == volume.uid);
        let Some(left) = self.leftovers.iter().find(of) else { return Verdict::Wanted };
        let members = match &self.survivors {
            Ok(members) => members,
            Err(why) => return Verdict::Keep(format!("the cluster is not well: {}", why.join("; "))),
        };
        match fate(left, apart(&self.leftovers, members), members, &[]) {
            _ if left.files == Fact::Unknown(Why::NotAsked) && left.used_by.known().is_ok_and(BTreeSet::is_empty) => {
                Verdict::Keep("what it holds was not read; --inspect reads it".to_owned())
            }
            Fate::Goes { because, .. } => Verdict::MayGo(because),
            Fate::Stays { because, .. } => Verdict::Keep(because),
        }
    }
}

fn of(volume: &Volume, belongs: Belongs, cluster: Option<&Snapshot>, seen: &Seen<'_>, judged: &BTreeMap<&str, Judged>) -> Entry {
    let mounted_by = seen.mounts.clone().map(|mounts| mounts.get(&volume.name).cloned().unwrap_or_default());
    let member = cluster.and_then(|cluster| cluster.members.get(&belongs.ordinal));
    let wanted = cluster.is_some_and(|cluster| cluster.objects.stateful_set.wants(belongs.ordinal));
    let holds_data = match (&belongs.by, cluster.and_then(data_template)) {
        (By::Template(template), Some(data)) => template == data,
        _ => true,
    };
    let is_mounted = mounted_by.known().map_or_else(
        |_| member.and_then(|member| member.pod.as_ref()).is_some_and(|pod| pod.claims.contains(&volume.name)),
        |pods| !pods.is_empty(),
    );
    let verdict = match (&belongs.by, judged.get(belongs.set.as_str())) {
        _ if volume.deletion.is_some() => Verdict::Going,
        (By::Template(_), _) if wanted => {
            if is_mounted {
                Verdict::InUse
            } else {
                Verdict::Wanted
            }
        }
        (By::Template(_), Some(judged)) => judged.verdict(volume),
        _ if is_mounted => Verdict::InUse,
        (By::Label(label), _) => {
            Verdict::Keep(format!("no set makes claims of this name now, so that nobody can be compared with it ({label})"))
        }
        _ => Verdict::Keep(format!("only its name says that it is of a set {}, which is gone; it may be anybody's", belongs.set)),
    };
    let reclaim = match (&volume.volume, seen.reclaim.known()) {
        (None, _) => Fact::Unknown(Why::Failed("it has no volume".to_owned())),
        (Some(name), Ok(policies)) => policies
            .get(name)
            .cloned()
            .map_or_else(|| Fact::Unknown(Why::Failed(format!("there is no PersistentVolume {name}"))), Fact::Known),
        (Some(_), Err(why)) => Fact::Unknown(why.clone()),
    };
    let used = match member {
        _ if !holds_data => Fact::Unknown(Why::Failed("it does not hold the data directory".to_owned())),
        Some(member) => member.files.clone().map(|files| files.space),
        None => Fact::Unknown(Why::NotAsked),
    };
    let stands = if holds_data { stands(member) } else { Stands::NoData };
    Entry { namespace: seen.namespace.to_owned(), volume: volume.clone(), belongs, mounted_by, used, stands, reclaim, verdict }
}

/// What the server says, or else the files of one that does not run.
fn stands(member: Option<&Member>) -> Stands {
    let Some(member) = member else { return Stands::Unknown(Why::NotAsked) };
    if let Ok(server) = member.server.known() {
        return match server.galera.as_ref().map(|galera| (&galera.status, galera.status.last_committed)) {
            Some((status, Some(seqno))) => Stands::Galera { uuid: status.local_state_uuid, seqno },
            Some((_, None)) => Stands::Unknown(Why::Failed("the server does not tell its last commit".to_owned())),
            None => Stands::Gtid(server.gtid.current_pos.to_string()),
        };
    }
    match member.files.known().map(Holds::at_rest) {
        Ok(Holds::Nothing) => Stands::Empty,
        Ok(Holds::At { uuid, seqno, .. }) => Stands::Galera { uuid, seqno },
        Ok(logged @ Holds::Logged(_)) => Stands::Gtid(logged.to_string()),
        Ok(Holds::Unknown(why)) => Stands::Unknown(Why::Failed(why)),
        Err(why) => Stands::Unknown(why.clone()),
    }
}
