//! Whether volumes can grow, and which of them are to.

use crate::decide::operation::plan::Refusal;
use crate::decide::rules::operations as rules;
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::quantity::Quantity;
use crate::model::snapshot::Snapshot;
use crate::model::volumes::{StorageClass, Volume};

use super::data_template;

/// What there is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Expansion {
    Refuse(Refusal),
    /// Every volume has the size already.
    Nothing,
    /// One after the other.
    Go(Vec<Growth>),
}

/// One claim that is to grow, or has not come to the end of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    pub ordinal: Ordinal,
    pub volume: Volume,
    /// It was asked for before: it is only waited for.
    pub asked: bool,
}

/// The claims of the wanted ordinals that hold the data.
fn wanted<'a>(seen: &Snapshot, volumes: &'a [Volume], template: &str) -> Vec<(Ordinal, String, Option<&'a Volume>)> {
    let set = &seen.objects.stateful_set;
    set.wanted()
        .map(|ordinal| {
            let name = format!("{template}-{}", ordinal.pod(&set.name));
            let found = volumes.iter().find(|volume| volume.name == name);
            (ordinal, name, found)
        })
        .collect()
}

/// The storage classes to be asked about.
#[must_use]
pub fn classes<'a>(seen: &Snapshot, volumes: &'a [Volume]) -> Vec<&'a str> {
    let Some(template) = data_template(seen) else { return Vec::new() };
    let found = wanted(seen, volumes, template).into_iter().filter_map(|(_, _, volume)| volume?.class.as_deref());
    let mut classes: Vec<&str> = found.collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// Decides before anything changes. `classes`: what was found of each of [`classes`].
///
/// # Errors
/// A class is not known.
pub fn expansion(
    seen: &Snapshot,
    volumes: &[Volume],
    classes: &[(&str, Fact<Option<StorageClass>>)],
    size: &Quantity,
) -> Result<Expansion, Why> {
    if let Some(refusal) = of_the_set(seen, size) {
        return Ok(Expansion::Refuse(refusal));
    }
    let name = &seen.target.name;
    let Some(template) = data_template(seen) else {
        let summary = format!("the data of {name} is on no volume claim that the set makes: there is nothing to expand");
        return Ok(Expansion::Refuse(Refusal::new(&rules::NO_CLAIM, summary)));
    };
    let claims = wanted(seen, volumes, template);
    let mut all = Vec::new();
    let mut unfit = Vec::new();
    for (ordinal, name, volume) in claims {
        match volume.map(|volume| (volume, obstacle(volume))) {
            None => unfit.push((name, "there is no claim of this name".to_owned())),
            Some((_, Some(why))) => unfit.push((name, why)),
            Some((volume, None)) => all.push((ordinal, volume, requested(volume)?)),
        }
    }
    if all.is_empty() && unfit.is_empty() {
        unfit.push((name.clone(), "it is scaled to 0, so that no volume is wanted".to_owned()));
    }
    if let Some((first, _)) = unfit.first() {
        let summary = format!("the volume claim {first} cannot be expanded now, so none is");
        let because = unfit.iter().map(|(name, why)| format!("{name}: {why}"));
        let refusal = Refusal::new(&rules::CLAIM_UNFIT, summary).because(because);
        return Ok(Expansion::Refuse(refusal.plugin(&format!("pvc list {name}"))));
    }
    let larger: Vec<_> = all.iter().filter(|(_, _, now)| now.bytes > size.bytes).collect();
    if let Some((_, first, now)) = larger.first() {
        let summary = format!("{size} is less than what {} has: a volume never shrinks", first.name);
        let because = larger.iter().map(|(_, volume, now)| format!("requests.storage of {}: {now}", volume.name));
        let refusal = Refusal::new(&rules::NEVER_SHRINKS, summary).because(because);
        return Ok(Expansion::Refuse(refusal.plugin(&format!("pvc expand {name} --size {now}"))));
    }
    let grow: Vec<Growth> = all
        .iter()
        .filter(|(_, volume, now)| now.bytes < size.bytes || !has(volume, size))
        .map(|(ordinal, volume, now)| Growth { ordinal: *ordinal, volume: (*volume).clone(), asked: now.bytes == size.bytes })
        .collect();
    if grow.is_empty() {
        return Ok(Expansion::Nothing);
    }
    Ok(match cannot(&grow, classes)? {
        Some(refusal) => Expansion::Refuse(refusal),
        None => Expansion::Go(grow),
    })
}

/// Who else decides on the size.
fn of_the_set(seen: &Snapshot, size: &Quantity) -> Option<Refusal> {
    let set = &seen.objects.stateful_set;
    let name = &set.name;
    if set.deletion.is_some() {
        return Some(Refusal::new(&rules::GOING, format!("the StatefulSet {name} is being deleted")));
    }
    if let Some(operator) = seen.objects.manager.operator().filter(|operator| operator.owns) {
        let (object, group) = (&operator.name, operator.group.name());
        let summary = format!("the size of the volumes of {name} is said in MariaDB {object}: mariadb-operator expands them");
        let patch = format!("{{\"spec\":{{\"storage\":{{\"size\":\"{size}\"}}}}}}");
        return Some(
            Refusal::new(&rules::SIZE_OF_OPERATOR, summary)
                .because([format!("ownerReferences of the StatefulSet: MariaDB {object}")])
                .kubectl(&format!("patch mariadbs.{group} {object} --type merge -p {patch}")),
        );
    }
    let owner = set.owner.as_ref()?;
    let (kind, object) = (&owner.kind, &owner.name);
    let summary = format!("{name} belongs to {kind} {object}, which may say the size of its volumes");
    Some(Refusal::new(&rules::OWNED, summary).because([format!("ownerReferences of the StatefulSet: {kind} {object}")]))
}

fn obstacle(volume: &Volume) -> Option<String> {
    if let Some(at) = volume.deletion {
        return Some(format!("it is being deleted (metadata.deletionTimestamp: {at})"));
    }
    if volume.phase != "Bound" {
        return Some(format!("it has no volume (status.phase: {})", volume.phase));
    }
    if let Some(status) = volume.cannot_grow() {
        return Some(format!("an earlier expansion came to nothing (status.allocatedResourceStatuses: {status})"));
    }
    volume.class.is_none().then(|| "it has no storage class, so nobody expands it".to_owned())
}

fn requested(volume: &Volume) -> Result<Quantity, Why> {
    let text = volume.requested.as_deref().unwrap_or_default();
    text.parse().map_err(|why| Why::Failed(format!("how large {} is to be cannot be told: {why}", volume.name)))
}

/// Whether Kubernetes says that the volume and its file system have this size.
#[must_use]
pub fn has(volume: &Volume, size: &Quantity) -> bool {
    let capacity = volume.capacity.as_deref().and_then(|text| text.parse::<Quantity>().ok());
    !volume.grows() && capacity.is_some_and(|capacity| capacity.bytes >= size.bytes)
}

/// A class that expands nothing.
fn cannot(grow: &[Growth], classes: &[(&str, Fact<Option<StorageClass>>)]) -> Result<Option<Refusal>, Why> {
    for growth in grow {
        let class = growth.volume.class.as_deref().unwrap_or_default();
        let found =
            classes.iter().find(|(name, _)| *name == class).map_or(&Fact::Unknown(Why::NotAsked), |(_, found)| found).clone();
        let because = match found.known().map_err(Clone::clone)? {
            Some(class) if class.expands => continue,
            Some(_) => format!("allowVolumeExpansion of StorageClass {class}: not true"),
            None => format!("StorageClass {class}: there is none"),
        };
        let summary = format!("the storage class {class} of {} does not allow expansion", growth.volume.name);
        let refusal = Refusal::new(&rules::CLASS_EXPANDS_NOT, summary).because([because]);
        return Ok(Some(refusal.kubectl(&format!("get storageclass {class} -o yaml"))));
    }
    Ok(None)
}

/// The least share of a volume that its file system shows, in percent: the rest is its own.
const SHOWN: u128 = 85;

/// Whether a file system of `total` bytes is one that has grown to `size`. `before`: what it was.
#[must_use]
pub fn is_shown(total: u64, before: Option<u64>, size: &Quantity) -> bool {
    before.is_some_and(|before| total > before) || u128::from(total) >= size.bytes / 100 * SHOWN
}
