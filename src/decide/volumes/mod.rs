//! Volume claims: whose they are, which may go, and whether they can grow.

pub mod belongs;
pub mod expand;
pub mod list;
pub mod logs;
pub mod prune;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::model::kubernetes::{StatefulSet, VolumeSource};
use crate::model::snapshot::Snapshot;

/// The claim template that holds the data directory: as a running server tells where that is, else as the pod template makes
/// it likely. Others hold configuration, logs or backups.
#[must_use]
pub fn data_template(seen: &Snapshot) -> Option<&str> {
    let set = &seen.objects.stateful_set;
    let datadir = seen.members.values().find_map(|member| Some(member.files.known().ok()?.datadir.as_str()));
    let holds = |path: &str| datadir.is_none_or(|datadir| is_below(datadir, path));
    let claims = || set.layout.mounts.iter().filter(|mount| mount.source == VolumeSource::Claim);
    let mount = match datadir {
        Some(_) => claims().filter(|mount| holds(&mount.path)).max_by_key(|mount| mount.path.len()),
        None => claims().next(),
    };
    template(set, &mount?.volume)
}

fn template<'a>(set: &'a StatefulSet, volume: &str) -> Option<&'a str> {
    set.claim_templates.iter().find(|template| *template == volume).map(String::as_str)
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
