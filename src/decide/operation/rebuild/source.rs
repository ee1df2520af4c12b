//! Where the copy comes from: exactly one primary component without the member, with somebody in it who can give.

use std::collections::BTreeSet;

use crate::decide::can_stop::{Leave, Load, Stop};
use crate::decide::exit::{Standing, database, standing};
use crate::decide::operation::gates::{against, galera};
use crate::decide::operation::plan::Refusal;
use crate::decide::recover::proof;
use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::galera::{Component, Groups, Who, donors};
use crate::model::kubernetes::PodManagement;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::wsrep::LocalState;

/// The component that goes on without the member, and who of it can give a copy.
pub struct Source {
    pub component: Component,
    /// Synced, and not held back by hand.
    pub able: BTreeSet<Ordinal>,
}

impl Source {
    /// Those of the component that are not the member itself.
    pub fn others(&self, member: Ordinal) -> BTreeSet<Ordinal> {
        self.component.ordinals.iter().copied().filter(|ordinal| *ordinal != member).collect()
    }

    /// How the copy comes, and from whom.
    pub fn predicts(&self, seen: &Snapshot, name: &str) -> String {
        let from: Vec<String> = self.able.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
        let first = self.able.first().copied();
        let method = first.and_then(|donor| galera(seen, donor)).map_or("", |galera| galera.sst_method.as_str());
        let size = first
            .and_then(|donor| seen.members.get(&donor)?.files.known().ok())
            .map_or_else(String::new, |disk| format!(", up to {} MiB", disk.space.used >> 20));
        let blocks = match (method, self.able.len()) {
            ("rsync" | "mysqldump", 1) => " It is the only one, and takes no writes while it gives.",
            ("rsync" | "mysqldump", _) => " Whoever gives takes no writes meanwhile.",
            (_, 1) => " It is the only one: until the copy is complete there is no other good one.",
            _ => "",
        };
        format!("{name} takes a full copy (SST by {method}{size}), no incremental one, from {}.{blocks}", from.join(" or "))
    }
}

/// The source; or why there is none.
///
/// # Errors
/// A member that runs could not be asked: it may be in a component of its own.
pub fn of(seen: &Snapshot, member: Ordinal) -> Result<Result<Source, Refusal>, Why> {
    let unseen = seen.members.keys().filter(|ordinal| proof(seen, **ordinal).is_none()).find_map(|ordinal| {
        match standing(seen, *ordinal) {
            Standing::Unseen(why) => Some(match why {
                Why::Forbidden(_) => why.clone(),
                why => Why::Failed(format!("{} could not be asked: {why}", seen.pod_name(*ordinal))),
            }),
            _ => None,
        }
    });
    if let Some(why) = unseen {
        return Err(why);
    }
    let groups = Groups::of(seen);
    let has_others = |component: &&Component| component.ordinals.iter().any(|ordinal| *ordinal != member);
    let primaries: Vec<&Component> = groups.primaries().filter(has_others).collect();
    let name = seen.pod_name(member);
    // First: until all have heard of a member that came or went, they seem to be in several components. It passes.
    if groups.unsettled() {
        let summary = format!("{name} cannot be rebuilt at this moment: who is a member is being negotiated");
        let refusal = Refusal::new(&rules::NOT_SPARED, summary).because(told(seen, &groups));
        return Ok(Err(refusal.plugin(&format!("status {}", seen.target.name))));
    }
    let [component] = primaries[..] else {
        let (summary, because) = if primaries.is_empty() {
            (format!("nobody but {name} could give a copy: no other member is in a primary component"), told(seen, &groups))
        } else {
            (format!("the others of {} are in two primary components", seen.target.name), told(seen, &groups))
        };
        return Ok(Err(refusal(seen, summary, because)));
    };
    if component.state_uuid.is_nil() {
        return Ok(Err(refusal(seen, "the others have no history (zero UUID): they were never compared".to_owned(), Vec::new())));
    }
    let able: BTreeSet<Ordinal> =
        component.ordinals.iter().copied().filter(|ordinal| *ordinal != member && can_give(seen, *ordinal)).collect();
    if able.is_empty() {
        let summary = format!("nobody but {name} could give a copy: no other member is Synced");
        return Ok(Err(refusal(seen, summary, told(seen, &groups))));
    }
    Ok(Ok(Source { component: component.clone(), able }))
}

/// Whether the server of the member crashes again and again. In the moments in which its container runs it can be asked, or it
/// cannot: that tells nothing, and passes.
pub fn crashes(seen: &Snapshot, member: Ordinal) -> bool {
    let own = seen.members.get(&member).and_then(|member| database(seen, member));
    let unseen = matches!(standing(seen, member), Standing::Unseen(why) if !matches!(why, Why::Forbidden(_) | Why::NotAsked));
    unseen && own.is_some_and(|container| container.restarts > 0 && !container.ready)
}

fn can_give(seen: &Snapshot, ordinal: Ordinal) -> bool {
    galera(seen, ordinal).is_some_and(|galera| {
        let status = &galera.status;
        status.local_state == LocalState::Synced && status.ready && status.connected && !galera.desync
    })
}

fn told(seen: &Snapshot, groups: &Groups) -> Vec<String> {
    let of = |component: &Component| {
        let names: Vec<String> = component.ordinals.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
        format!("{} component: {}", if component.primary { "primary" } else { "non-primary" }, names.join(", "))
    };
    groups.components.iter().map(of).collect()
}

fn refusal(seen: &Snapshot, summary: String, because: Vec<String>) -> Refusal {
    Refusal::new(&rules::NO_SOURCE, summary).because(because).plugin(&format!("status {}", seen.target.name))
}

/// What the others say of themselves changed.
pub fn another_history(seen: &Snapshot) -> Refusal {
    refusal(seen, format!("the others of {} have another state UUID than when this began", seen.target.name), Vec::new())
}

/// Why the member cannot be taken away now. Of one in the component that is what `can-stop` says (safety D1); of one outside
/// only a transfer or a negotiation among the others is in the way. `load`: what of it may be (safety D7) is for whoever can
/// still choose the moment.
pub fn spares(seen: &Snapshot, source: &Source, member: Ordinal, load: Load) -> Result<Option<Refusal>, Why> {
    let component = &source.component;
    let counted = component.others.iter().any(|other| other.who == Who::Silent(member));
    let is_inside = component.ordinals.contains(&member) || counted;
    let mut reasons = if is_inside { inside(seen, member, load)? } else { outside(seen, source) };
    reasons.extend(held_back(seen, member));
    if reasons.is_empty() {
        return Ok(None);
    }
    let name = seen.pod_name(member);
    let summary = format!("{name} cannot be rebuilt at this moment");
    Ok(Some(Refusal::new(&rules::NOT_SPARED, summary).because(reasons).plugin(&format!("can-stop {name}"))))
}

fn inside(seen: &Snapshot, member: Ordinal, load: Load) -> Result<Vec<String>, Why> {
    against(seen, &Stop { ordinals: BTreeSet::from([member]), nodes: false, load, leave: Leave::EitherWay })
}

/// Why the set would make no new pod for the member: an ordered one makes none above a pod that is not Ready (safety B1).
pub fn held_back(seen: &Snapshot, member: Ordinal) -> Option<String> {
    let set = &seen.objects.stateful_set;
    let is_ready = |ordinal: &Ordinal| {
        let pod = seen.members.get(ordinal).and_then(|member| member.pod.as_ref());
        pod.is_some_and(|pod| pod.ready && pod.deletion.is_none())
    };
    let below = set.wanted().filter(|ordinal| *ordinal < member).find(|ordinal| !is_ready(ordinal))?;
    let (name, below) = (seen.pod_name(member), seen.pod_name(below));
    (set.pod_management == PodManagement::OrderedReady)
        .then(|| format!("{below} is not Ready, and an ordered set makes no pod {name} until it is"))
}

fn outside(seen: &Snapshot, source: &Source) -> Vec<String> {
    let mut reasons = Vec::new();
    let groups = Groups::of(seen);
    let joining = groups.joiners(seen);
    for ordinal in &source.component.ordinals {
        let name = seen.pod_name(*ordinal);
        let state = galera(seen, *ordinal).and_then(|galera| galera.status.evs_state.as_deref()).unwrap_or("not told");
        if state != "OPERATIONAL" {
            reasons.push(format!("membership is being negotiated (wsrep_evs_state {state} on {name})"));
        }
    }
    reasons.extend(donors(seen).iter().map(|ordinal| format!("{} is giving a copy to another member", seen.pod_name(*ordinal))));
    reasons.extend(joining.iter().map(|ordinal| format!("{} is taking a copy already", seen.pod_name(*ordinal))));
    let hangs = source.component.others.iter().find_map(|other| match other.who {
        Who::Silent(ordinal) | Who::Elsewhere(ordinal) if !joining.contains(&ordinal) => Some(ordinal),
        _ => None,
    });
    reasons.extend(hangs.map(|ordinal| format!("the others still count {} as a member", seen.pod_name(ordinal))));
    reasons
}
