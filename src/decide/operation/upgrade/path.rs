//! Which version may follow which on a data directory (safety D4).

use crate::decide::rules::operations as rules;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;
use crate::model::version::Version;

use super::super::plan::Refusal;
use super::{Tried, Upgrade};

/// The version in the tag of an image; `None`: a digest, `latest`, or a series without a patch level.
#[must_use]
pub fn tag_version(image: &str) -> Option<Version> {
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    tag.parse().ok()
}

/// Why the image must not be put on these data directories, as far as it is known by now.
pub fn refused(seen: &Snapshot, upgrade: &Upgrade) -> Option<Refusal> {
    let image = &upgrade.to.image;
    if let Some(Tried::Unusable(why)) = &upgrade.tried {
        let summary = format!("{image} cannot be used: a pod of it does not tell the version of its server");
        let refusal = Refusal::new(&rules::IMAGE_UNUSABLE, summary).because([why.clone()]);
        return Some(refusal);
    }
    let version = upgrade.version()?;
    let reached = |ordinal: &Ordinal| ordinal.0 >= seen.objects.stateful_set.start + upgrade.to.partition;
    let members = upgrade.before.iter().filter(|(ordinal, _)| reached(ordinal));
    for (ordinal, before) in members.clone() {
        if version.series() != before.series() && version < *before {
            return Some(downgrade(seen, upgrade, &version, (*ordinal, before)));
        }
    }
    let (ordinal, before) = members.min_by(|(_, one), (_, other)| one.cmp(other))?;
    let skipped = Version::lts_between(before, &version);
    if skipped.is_empty() || upgrade.skips_lts {
        return None;
    }
    let (name, pod) = (&seen.target.name, seen.pod_name(*ordinal));
    let lowest = seen.objects.stateful_set.start + upgrade.to.partition;
    let partition = if upgrade.to.partition == 0 { String::new() } else { format!(" --partition {lowest}") };
    let summary = format!(
        "{} to {} leaves out {}: the vendor describes upgrades from one long-term series to the next only",
        before.series(),
        version.series(),
        skipped.join(" and ")
    );
    Some(
        Refusal::new(&rules::VERSION_PATH, summary)
            .because([format!("version of {pod}: {before}"), format!("version of {image}: {version}")])
            .plugin(&format!("upgrade {name} --image {image}{partition} --allow-lts-skip")),
    )
}

/// A newer server has written there. Within a series that is no harm.
fn downgrade(seen: &Snapshot, upgrade: &Upgrade, version: &Version, (ordinal, before): (Ordinal, &Version)) -> Refusal {
    let pod = seen.pod_name(ordinal);
    let image = &upgrade.to.image;
    let summary =
        format!("{pod} runs {before}, and a server of {} must not open its data: nothing would stop it", version.series());
    let mut refusal = Refusal::new(&rules::DOWNGRADE, summary)
        .because([format!("version of {pod}: {before}"), format!("version of {image}: {version}")]);
    // Those that have not been upgraded yet need nothing to stay as they are.
    let older: Vec<String> = upgrade
        .before
        .iter()
        .filter(|(_, own)| own.series() == version.series())
        .map(|(ordinal, _)| seen.pod_name(*ordinal))
        .collect();
    if !older.is_empty() {
        refusal = refusal.because([format!("still {}: {}", version.series(), older.join(", "))]);
    }
    refusal
}
