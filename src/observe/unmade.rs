//! Names and objects behind which there is no StatefulSet.

use futures::future::join_all;

use super::{Depth, within};
use crate::api::Api;
use crate::api::objects::get_operator_view;
use crate::failure::{Failure, Kind};
use crate::model::fact::Fact;
use crate::model::names::Target;
use crate::model::operator::{ApiGroup, OperatorView};
use crate::model::unmade::Unmade;

/// No set has this name; a `MariaDB` object of it may have been there for long. `today`: what was found in the group of today.
///
/// # Errors
/// `not_found`, if no object has the name, either.
pub async fn instead(
    api: &Api,
    target: &Target,
    today: Fact<Option<OperatorView>>,
    not_found: Failure,
    depth: Depth,
) -> Result<Unmade, Failure> {
    let taken = depth.clock.now();
    let why = match today {
        Fact::Known(Some(view)) => return Ok(Unmade { taken, view }),
        Fact::Known(None) => None,
        Fact::Unknown(why) => Some(why),
    };
    // Nothing names the group, and nobody is in a hurry any more.
    let older = ApiGroup::ALL.into_iter().filter(|group| *group != ApiGroup::MariaDb);
    let older = older.map(|group| within(depth.pod_timeout, get_operator_view(api, group, &target.namespace, &target.name)));
    let mut found = join_all(older).await.into_iter().filter_map(|found| found.known().ok()?.clone());
    match (found.next(), why) {
        (Some(view), _) => Ok(Unmade { taken, view }),
        (None, None) => Err(not_found),
        (None, Some(why)) => {
            let message = format!("{}; whether a MariaDB object has the name is not known: {why}", not_found.message);
            Err(Failure { message, ..not_found })
        }
    }
}

/// For whoever needs a cluster.
pub fn no_cluster(unmade: &Unmade) -> Failure {
    let view = &unmade.view;
    let message = format!("MariaDB {} in namespace {} has no StatefulSet: {}", view.name, view.namespace, view.says());
    let describe = format!("kubectl -n {} describe mariadbs.{} {}", view.namespace, view.group.name(), view.name);
    Failure::new(Kind::NotFound, message).hint(describe)
}
