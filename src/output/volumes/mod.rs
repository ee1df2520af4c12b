//! Screens of `pvc …`.

mod change;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::carry_out::volumes::list::Found;
use crate::decide::helper::Helper;
use crate::decide::volumes::belongs::By;
use crate::decide::volumes::list::{Entry, Stands, Verdict};
use crate::failure::Exit;
use crate::model::fact::Why;
use crate::model::names::Target;

use super::Screen;
use super::grastate;
use super::status::Unknown;
use super::status::split;
use super::style::Label;
use super::styled::{Column, Span, Styled};

pub use change::VolumeChange;

/// Every volume claim of MariaDB in a namespace, or in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeList {
    pub taken: Timestamp,
    /// `null`: all of them.
    pub namespace: Option<String>,
    /// By namespace, cluster and ordinal.
    pub items: Vec<VolumeStatus>,
    /// Why volumes were not read, although that was asked for.
    pub unread: Vec<String>,
    /// Kinds of objects that could not be listed: they never change the exit code.
    pub unseen: Vec<UnseenKind>,
    /// Jobs of ours that were not seen to go. They end by themselves.
    pub left: Vec<String>,
    pub exit_code: u8,
    #[serde(skip)]
    #[cfg_attr(test, schemars(skip))]
    exit: Exit,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeStatus {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The StatefulSet that it is or was of.
    pub cluster: String,
    /// The pod that uses it, or would.
    pub pod: String,
    pub ordinal: u32,
    /// What makes us think so: `claimTemplate`, `label` or `name`. `name`: it may be anybody's.
    pub belongs_by: String,
    /// Pods that mount it.
    pub mounted_by: Option<Vec<String>>,
    pub mounted_by_unknown: Option<Unknown>,
    /// `status.phase`.
    pub phase: String,
    /// What is asked for.
    pub requested: Option<String>,
    pub capacity: Option<String>,
    pub storage_class: Option<String>,
    /// The `PersistentVolume`.
    pub volume: Option<String>,
    pub used_bytes: Option<u64>,
    pub used_unknown: Option<Unknown>,
    /// `UUID:SEQNO` of Galera, a GTID position of replication, `empty`, or `noData` of a volume that holds no data directory.
    pub position: Option<String>,
    pub position_unknown: Option<Unknown>,
    /// What becomes of the volume when the claim is deleted: `Delete` or `Retain`.
    pub reclaim_policy: Option<String>,
    pub reclaim_policy_unknown: Option<Unknown>,
    /// `inUse`, `wanted`, `mayGo`, `keep` or `beingDeleted`.
    pub verdict: String,
    /// Of a left-over one: why. For people; the text may change.
    pub because: Option<String>,
}

/// A kind of objects that could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnseenKind {
    pub fact: String,
    pub reason: String,
    pub message: String,
}

impl VolumeStatus {
    fn new(entry: &Entry) -> Self {
        let Entry { namespace, volume, belongs, mounted_by, used, stands, reclaim, verdict } = entry;
        let (mounted_by, mounted_by_unknown) = split(mounted_by, |pods: &BTreeSet<String>| pods.iter().cloned().collect());
        let (used_bytes, used_unknown) = split(used, |space| space.used);
        let (reclaim_policy, reclaim_policy_unknown) = split(reclaim, Clone::clone);
        let (position, position_unknown) = match stands {
            Stands::Galera { uuid, seqno } => (Some(format!("{uuid}:{seqno}")), None),
            Stands::Gtid(position) => (Some(position.clone()), None),
            Stands::Empty => (Some("empty".to_owned()), None),
            Stands::NoData => (Some("noData".to_owned()), None),
            Stands::Unknown(why) => (None, Some(why.into())),
        };
        let (verdict, because) = match verdict {
            Verdict::InUse => ("inUse", None),
            Verdict::Wanted => ("wanted", None),
            Verdict::MayGo(because) => ("mayGo", Some(because.clone())),
            Verdict::Keep(because) => ("keep", Some(because.clone())),
            Verdict::Going => ("beingDeleted", None),
        };
        let by = match belongs.by {
            By::Template(_) => "claimTemplate",
            By::Label(_) => "label",
            By::Name => "name",
        };
        Self {
            namespace: namespace.clone(),
            name: volume.name.clone(),
            uid: volume.uid.clone(),
            cluster: belongs.set.clone(),
            pod: belongs.ordinal.pod(&belongs.set),
            ordinal: belongs.ordinal.0,
            belongs_by: by.to_owned(),
            mounted_by,
            mounted_by_unknown,
            phase: volume.phase.clone(),
            requested: volume.requested.clone(),
            capacity: volume.capacity.clone(),
            storage_class: volume.class.clone(),
            volume: volume.volume.clone(),
            used_bytes,
            used_unknown,
            position,
            position_unknown,
            reclaim_policy,
            reclaim_policy_unknown,
            verdict: verdict.to_owned(),
            because,
        }
    }
}

impl VolumeList {
    #[must_use]
    pub fn new(found: &Found, left: Vec<String>) -> Self {
        let unseen = found.unseen.iter().map(|(fact, why)| {
            let Unknown { reason, message } = why.into();
            UnseenKind { fact: (*fact).to_owned(), reason, message }
        });
        Self {
            taken: found.taken,
            namespace: found.namespace.clone(),
            items: found.entries.iter().map(VolumeStatus::new).collect(),
            unread: found.unread.clone(),
            unseen: unseen.collect(),
            left,
            exit_code: found.exit.code(),
            exit: found.exit,
        }
    }
}

/// The helper pods that are to read volumes, before the question.
pub fn helper_question(target: &Target, helpers: &[Helper], out: &mut Styled) {
    grastate::question(target, helpers, out);
}

fn row(item: &VolumeStatus, wide: bool) -> Vec<Span> {
    let unknown = || Span::new(Label::Warning, "?");
    let mounted = match item.mounted_by.as_deref() {
        None => unknown(),
        Some([]) => Span::new(Label::Faint, "no"),
        Some(pods) => Span::plain(pods.join(",")),
    };
    let used = item.used_bytes.map_or_else(
        || if item.position.as_deref() == Some("noData") { Span::new(Label::Faint, "-") } else { unknown() },
        |bytes| Span::plain(format!("{}Mi", bytes >> 20)),
    );
    let position = match item.position.as_deref() {
        None => unknown(),
        Some("noData") => Span::new(Label::Faint, "-"),
        Some("") => Span::new(Label::Faint, "none"),
        Some(position) if wide => Span::plain(position),
        Some(position) => Span::plain(short(position)),
    };
    let verdict = match item.verdict.as_str() {
        "inUse" => Span::new(Label::Good, "in use"),
        "wanted" => Span::new(Label::Warning, "wanted, not mounted"),
        "mayGo" => Span::plain("left over: may go"),
        "keep" => Span::new(Label::Warning, "left over: keep"),
        _ => Span::new(Label::Error, "being deleted"),
    };
    let sure = if item.belongs_by == "name" { format!("{}?", item.cluster) } else { item.cluster.clone() };
    let mut row = vec![Span::plain(&item.name), Span::plain(sure), Span::plain(item.ordinal.to_string()), mounted];
    row.push(item.capacity.as_ref().map_or_else(unknown, Span::plain));
    row.extend([used, position, item.reclaim_policy.as_ref().map_or_else(unknown, Span::plain)]);
    if wide {
        row.push(item.storage_class.as_ref().map_or_else(|| Span::new(Label::Faint, "-"), Span::plain));
        row.push(item.volume.as_ref().map_or_else(|| Span::new(Label::Faint, "-"), Span::plain));
    }
    row.push(verdict);
    row
}

/// The first eight characters of a UUID tell histories apart.
fn short(position: &str) -> String {
    match position.split_once(':') {
        Some((uuid, seqno)) if uuid.len() == 36 => format!("{}:{seqno}", &uuid[..8]),
        _ => position.to_owned(),
    }
}

impl Screen for VolumeList {
    const KIND: &'static str = "VolumeList";

    fn screen(&self, wide: bool, out: &mut Styled) {
        if self.items.is_empty() {
            let whence = self.namespace.as_ref().map_or_else(|| "any namespace".to_owned(), |one| format!("namespace {one}"));
            out.line(Label::Plain, format!("No volume claim of MariaDB is in {whence}."));
        } else {
            let column = |head, yields| Column { head, yields };
            let mut columns = vec![column("NAME", 0), column("CLUSTER", 4), column("POD", 5), column("MOUNTED", 0)];
            columns.extend([column("SIZE", 1), column("USED", 2), column("POSITION", 0), column("RECLAIM", 3)]);
            if wide {
                columns.extend([column("CLASS", 6), column("VOLUME", 7)]);
            }
            columns.push(column("VERDICT", 0));
            let mut rows: Vec<Vec<Span>> = self.items.iter().map(|item| row(item, wide)).collect();
            if self.namespace.is_none() {
                columns.insert(0, column("NAMESPACE", 0));
                rows.iter_mut().zip(&self.items).for_each(|(row, item)| row.insert(0, Span::plain(&item.namespace)));
            }
            out.table(&columns, &rows);
        }
        let told = self.items.iter().filter_map(|item| Some((item, item.because.as_ref()?)));
        for (item, because) in told {
            let place = if self.namespace.is_none() { format!("{}/", item.namespace) } else { String::new() };
            out.hanging(vec![Span::plain(format!("{place}{}: ", item.name))], Label::Plain, because);
        }
        for why in &self.unread {
            out.hanging(vec![Span::new(Label::Warning, "! ")], Label::Plain, why);
        }
        if !self.left.is_empty() {
            let text = format!("still there: {}; Kubernetes ends and removes them", self.left.join(", "));
            out.hanging(vec![Span::new(Label::Warning, "! ")], Label::Plain, &text);
        }
        for unseen in &self.unseen {
            out.hanging(Vec::new(), Label::Faint, &format!("{} could not be seen: {}", unseen.fact, unseen.message));
        }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| format!("persistentvolumeclaim/{}", item.name)).collect()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

/// A fact that is not known, for the documents of changes.
fn unknown(why: &Why) -> Option<Unknown> {
    (*why != Why::NotAsked).then(|| why.into())
}
