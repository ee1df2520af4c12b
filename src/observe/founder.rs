//! The bootstrap pod that stands for an ordinal while the set does not run it.

use crate::api::Api;
use crate::api::objects::get_pod;
use crate::failure::Failure;
use crate::model::fact::{Fact, Why};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::{Depth, assemble, look_at_members, take};

/// Looks for the pod `name`, and puts it in the place of `ordinal` if the set has no pod of its own there.
///
/// # Errors
/// It could not be asked for.
pub async fn founder(api: &Api, seen: &mut Snapshot, ordinal: Ordinal, name: &str, depth: Depth) -> Result<(), Failure> {
    if seen.members.get(&ordinal).is_some_and(|member| member.pod.is_some()) {
        return Ok(());
    }
    let Some(pod) = get_pod(api, &seen.target.namespace, name).await? else { return Ok(()) };
    let member = assemble::member(&seen.objects.stateful_set, ordinal, Some(pod));
    let mut alone = Snapshot { members: [(ordinal, member)].into(), ..seen.clone() };
    let samples = look_at_members(api, &alone, depth, None).await;
    take(&mut alone, samples);
    seen.members.append(&mut alone.members);
    for (_, member) in seen.members.iter_mut().filter(|(known, _)| **known == ordinal) {
        if member.server == Fact::Unknown(Why::NotAsked) {
            member.server = Fact::Unknown(Why::Failed("it was not asked".to_owned()));
        }
    }
    Ok(())
}
