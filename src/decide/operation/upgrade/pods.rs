//! Which pods are to be replaced, and what stands against it.

use std::collections::BTreeSet;

use crate::decide::exit::database;
use crate::decide::finding::Severity;
use crate::decide::rules::operations as rules;
use crate::decide::verdict::{before, verdict};
use crate::model::galera::Groups;
use crate::model::kubernetes::Pod;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::super::formation::{Formation, does_not_start, server};
use super::super::operator::view;
use super::super::plan::Refusal;
use super::{Rollout, Tried, Upgrade};

/// Whether its pod was made from the newest template.
pub fn is_new(seen: &Snapshot, ordinal: Ordinal) -> bool {
    let pod = seen.members.get(&ordinal).and_then(|member| member.pod.as_ref());
    pod.is_some_and(|pod| pod.revision.as_ref() == Some(&seen.objects.stateful_set.update_revision))
}

/// Whether its pod asks for this image.
pub fn runs(seen: &Snapshot, ordinal: Ordinal, image: &str) -> bool {
    let container = seen.members.get(&ordinal).and_then(|member| database(seen, member));
    container.is_some_and(|container| container.image == image)
}

pub fn image_of(seen: &Snapshot) -> &str {
    &seen.objects.stateful_set.layout.image
}

/// The pods that `aim` reaches and that are not what it asks for, the highest ordinal first.
pub fn due(seen: &Snapshot, aim: &Rollout) -> Vec<Ordinal> {
    let set = &seen.objects.stateful_set;
    let held = Rollout::of(seen).map_or(0, |now| now.partition);
    let there = |pod: &&Pod| pod.deletion.is_none();
    let is_it = |ordinal: Ordinal| match seen.members.get(&ordinal).and_then(|member| member.pod.as_ref()).filter(there) {
        // It is made anew: from the template, or as it was if the partition holds it.
        None => set.layout.image == aim.image && ordinal.0 >= set.start + held,
        // Which revision the template gets with another image is not known yet.
        Some(_) if set.layout.image == aim.image => is_new(seen, ordinal),
        Some(_) => runs(seen, ordinal, &aim.image),
    };
    let mut due: Vec<Ordinal> =
        set.wanted().filter(|ordinal| ordinal.0 >= set.start + aim.partition && !is_it(*ordinal)).collect();
    due.reverse();
    due
}

/// Those among them that were made from a newer template than the others and do not start with it: what another image is to mend.
pub fn unstarted(seen: &Snapshot, open: &[Ordinal]) -> BTreeSet<Ordinal> {
    let went_ahead = |ordinal: &Ordinal| {
        let pod = seen.members.get(ordinal).and_then(|member| member.pod.as_ref());
        pod.is_some_and(|pod| pod.revision.as_ref() != Some(&seen.objects.stateful_set.current_revision))
    };
    open.iter().copied().filter(|ordinal| went_ahead(ordinal) && does_not_start(seen, *ordinal).is_some()).collect()
}

/// The pods that run what was rolled out, the highest ordinal first: they are what there is to take back.
pub fn replaced(seen: &Snapshot, upgrade: &Upgrade) -> Vec<Ordinal> {
    if upgrade.from.image == upgrade.to.image {
        return Vec::new();
    }
    let set = &seen.objects.stateful_set;
    let mut replaced: Vec<Ordinal> = set.wanted().filter(|ordinal| runs(seen, *ordinal, &upgrade.to.image)).collect();
    replaced.reverse();
    replaced
}

/// The partition that holds everybody back but a pod that does not start. Below the partition a pod would be made anew from the
/// revision before, on data that a newer server may have opened.
pub fn closed(seen: &Snapshot, broken: &BTreeSet<Ordinal>, aim: &Rollout) -> u32 {
    let set = &seen.objects.stateful_set;
    let new: Vec<Ordinal> = set.wanted().filter(|ordinal| is_new(seen, *ordinal)).collect();
    let mixed = set.current_revision != set.update_revision;
    match (&new[..], broken.first()) {
        ([only], Some(ordinal)) if only == ordinal && mixed && !goes_back(seen, aim) => ordinal.0 - set.start,
        _ => set.replicas,
    }
}

/// Whether `aim` is what the pods that were not replaced run.
fn goes_back(seen: &Snapshot, aim: &Rollout) -> bool {
    seen.expected().any(|(ordinal, _)| !is_new(seen, ordinal) && runs(seen, ordinal, &aim.image))
}

/// What `status` calls an error, although all are together: a full volume, a switch that founds a cluster (safety D4).
pub fn unwell(seen: &Snapshot) -> Option<Refusal> {
    let verdict = verdict(seen);
    let mut errors =
        verdict.findings.iter().filter(|finding| finding.rule.severity == Severity::Error && !finding.rule.is_unseen());
    let worst = errors.next()?;
    let name = &seen.target.name;
    let summary = format!("{name} is not well, so no pod of it is replaced: {}", worst.summary);
    let because = std::iter::once(worst).chain(errors).map(|finding| format!("{}: {}", finding.rule.code, finding.summary));
    Some(Refusal::new(&rules::NOT_SETTLED, summary).because(because).plugin(&format!("status {name}")))
}

/// Of a plain set: from which primary to which pod the role moves before the first one is replaced. A primary must not be newer
/// than its replicas, and the highest ordinal is replaced first: so it is the lowest (safety D3).
pub fn handed_over(seen: &Snapshot, primary: Ordinal, open: &[Ordinal]) -> Option<(Ordinal, Ordinal)> {
    let lowest = seen.objects.stateful_set.wanted().next().filter(|lowest| *lowest != primary)?;
    let older = |ordinal: Ordinal| ordinal < primary && (open.contains(&ordinal) || !is_new(seen, ordinal));
    let needed = view(seen).is_none() && open.contains(&primary) && seen.objects.stateful_set.wanted().any(older);
    needed.then_some((primary, lowest))
}

/// Why it must not begin with these pods.
pub fn misplaced(
    seen: &Snapshot,
    formation: &Formation,
    open: &[Ordinal],
    broken: &BTreeSet<Ordinal>,
    aim: &Rollout,
) -> Option<Refusal> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    let operated = view(seen).is_some();
    let writable = |ordinal: &&Ordinal| {
        let files = seen.members.get(ordinal).and_then(|member| member.files.known().ok());
        matches!(formation, Formation::Replication { primary, .. } if *primary != **ordinal)
            && files.is_some_and(|disk| disk.starts_read_only == Some(false))
    };
    if let Some(ordinal) = open.iter().filter(|_| !operated).find(writable) {
        let pod = seen.pod_name(*ordinal);
        let summary = format!("{pod} is a replica and would come back as a server that takes writes");
        return Some(
            Refusal::new(&rules::OPENS_ITSELF, summary)
                .because([format!("read_only at the next start of {pod}, by its configuration: OFF")])
                .plugin(&format!("status {name}")),
        );
    }
    // Others that were replaced would be replaced once more, and nobody could hold them back one by one.
    let others = seen.expected().filter(|(ordinal, _)| is_new(seen, *ordinal) && !broken.contains(ordinal)).count();
    let another = set.layout.image != aim.image && set.current_revision != set.update_revision;
    if !broken.is_empty() && another && others > 0 && !goes_back(seen, aim) {
        let pods: Vec<String> = broken.iter().map(|ordinal| seen.pod_name(*ordinal)).collect();
        let summary = format!("{} does not start, and others run the image that it does not start with", pods.join(", "));
        let old = seen.expected().find(|(ordinal, _)| !is_new(seen, *ordinal));
        let old = old.and_then(|(_, member)| database(seen, member)).map(|container| container.image.clone());
        let refusal = Refusal::new(&rules::DOES_NOT_COME_UP, summary)
            .because(broken.iter().filter_map(|ordinal| does_not_start(seen, *ordinal)));
        return Some(match old {
            Some(image) => refusal.plugin(&format!("upgrade {name} --image {image}")),
            None => refusal,
        });
    }
    let nodes = seen.objects.nodes.known().ok();
    open.iter().filter(|ordinal| !broken.contains(ordinal)).find_map(|ordinal| {
        let pod = seen.members.get(ordinal)?.pod.as_ref()?;
        let node = nodes?.iter().find(|node| Some(&node.name) == pod.node.as_ref() && node.cordoned)?;
        let own =
            seen.objects.claims.known().ok()?.iter().find(|claim| pod.claims.contains(&claim.name) && claim.node.is_some())?;
        let summary =
            format!("{} could not come back: its node {} is cordoned, and its volume may lie there", pod.name, node.name);
        Some(
            Refusal::new(&rules::NOT_SETTLED, summary)
                .because([
                    format!("spec.unschedulable of node {}: true", node.name),
                    format!("node of claim {}: {}", own.name, node.name),
                ])
                .kubectl(&format!("uncordon {}", node.name)),
        )
    })
}

/// A pod that was replaced does not come up, or is not what the image was tried as.
pub fn failed(seen: &Snapshot, upgrade: &Upgrade) -> Option<Refusal> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    let old = &upgrade.from.image;
    let replaced = || set.wanted().filter(|ordinal| is_new(seen, *ordinal) && set.layout.image == upgrade.to.image);
    if let Some((ordinal, why)) = replaced().find_map(|ordinal| Some((ordinal, does_not_start(seen, ordinal)?))) {
        let pod = seen.pod_name(ordinal);
        let summary = format!("{pod} does not come up with {}; no other pod is replaced", upgrade.to.image);
        let refusal = Refusal::new(&rules::DOES_NOT_COME_UP, summary)
            .because([format!("{pod}: {why}")])
            .kubectl(&format!("logs {pod} --previous"));
        let back = *old != upgrade.to.image && !upgrade.is_for_good();
        let refusal = if back { refusal.plugin(&format!("operation abort {name}")) } else { refusal };
        return Some(refusal.plugin(&format!("upgrade {name} --image ANOTHER")));
    }
    let Some(Tried::Version(version)) = &upgrade.tried else { return None };
    let other = |ordinal: Ordinal| {
        let own = &server(seen, ordinal)?.version;
        (runs(seen, ordinal, &upgrade.to.image) && upgrade.from.image != upgrade.to.image && own != version)
            .then(|| (ordinal, own.clone()))
    };
    let (ordinal, own) = replaced().find_map(other)?;
    let pod = seen.pod_name(ordinal);
    let summary =
        format!("{pod} runs {own}, but {} was {version} when it was tried: its name leads to several images", upgrade.to.image);
    Some(Refusal::new(&rules::DOES_NOT_COME_UP, summary).because([format!("version of {pod}: {own}")]))
}

/// What whoever confirms should know.
pub fn notes(seen: &Snapshot, upgrade: &Upgrade, open: &[Ordinal]) -> Vec<String> {
    let set = &seen.objects.stateful_set;
    let mut notes = Vec::new();
    if open.is_empty() {
        return notes;
    }
    if upgrade.to.partition > 0 {
        let lowest = seen.pod_name(Ordinal(set.start + upgrade.to.partition));
        notes.push(format!(
            "It ends with {lowest}; pods below stay as they are until the same command names a lower --partition."
        ));
    }
    if upgrade.is_for_good() && upgrade.tried.is_none() {
        notes.push(
            "Within a series a pod can go back to the old image; once a server of a newer series has opened its data it cannot."
                .to_owned(),
        );
    }
    let series = |version: &crate::model::version::Version| version.series();
    let crosses =
        upgrade.version().is_none_or(|version| upgrade.before.values().any(|before| series(before) != series(&version)));
    if crosses && set.replicas > 1 {
        notes.push(
            "While versions are mixed, leave tables as they are: a statement that only the newer servers know fails on the others, and \
             nobody is told."
                .to_owned(),
        );
    }
    if crosses {
        notes.push(backed_up(seen));
    }
    notes.extend(upgrade.formation.moving_note(seen, open));
    notes.extend(comes_back(seen, open, crosses));
    notes.extend(set.layout.liveness_probe.as_ref().filter(|_| set.layout.startup_probe.is_none()).map(|probe| {
        format!(
            "A start may take {} s before the liveness probe ends it: a full copy that takes longer never completes.",
            probe.patience()
        )
    }));
    notes
}

/// What is known of backups: between two series a backup is the only way back.
fn backed_up(seen: &Snapshot) -> String {
    let name = &seen.target.name;
    let Some(operator) = seen.objects.manager.operator().filter(|operator| operator.owns) else {
        return format!("Nothing here tells whether {name} has a backup: have one that was restored once.");
    };
    match operator.backups.known() {
        Err(why) => format!("Whether {name} has a backup could not be seen: {why}"),
        Ok(backups) => {
            let last = backups.iter().filter_map(|backup| Some((backup.last_success()?, backup))).max_by_key(|(at, _)| *at);
            match last {
                Some((at, backup)) => {
                    let (kind, ago) = (backup.kind.name(), before(seen.taken, at));
                    format!("The newest backup of {name} that is known to have succeeded is {kind} {}, {ago} ago.", backup.name)
                }
                None => format!("No backup of {name} is known to have succeeded."),
            }
        }
    }
}

/// How Galera members catch up after their restart, by what the donors keep (G 1.3).
fn comes_back(seen: &Snapshot, open: &[Ordinal], crosses: bool) -> Option<String> {
    let groups = Groups::of(seen);
    let component = groups.primaries().next()?;
    let status = |ordinal: &Ordinal| server(seen, *ordinal)?.galera.as_ref().map(|galera| &galera.status);
    let kept = |donor: &Ordinal| {
        let status = status(donor)?;
        Some(status.last_committed?.saturating_sub(status.cached_downto?))
    };
    let least =
        open.iter().map(|joiner| component.ordinals.iter().filter(|donor| *donor != joiner).filter_map(kept).max()).min()??;
    Some(if least == 0 {
        let more = if crosses { ", and between two series that is not supported" } else { "" };
        format!("No donor keeps write sets: each pod may take a full copy (SST) when it returns{more}.")
    } else {
        format!(
            "Each pod returns without a full copy (IST) if it misses fewer than about {least} write sets, which its donors keep."
        )
    })
}
