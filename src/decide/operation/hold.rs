//! A founder that clients do not reach until somebody has looked at its data (safety A10): its pod is never Ready, and the others
//! find it through the set's own Service, which publishes addresses that are not ready.

use crate::decide::rules::operations as rules;
use crate::model::fact::Why;
use crate::model::kubernetes::Service;
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::founding::bootstrap_name;
use super::memo::Memo;
use super::plan::{Action, Refusal, Step};

/// Why clients cannot be kept away from a pod that is not Ready, or the others from finding it.
///
/// # Errors
/// The Services are not known.
pub(super) fn impossible(seen: &Snapshot) -> Result<Option<Refusal>, Why> {
    let set = &seen.objects.stateful_set;
    let services = seen.objects.services.known().map_err(Clone::clone)?;
    let refusal = |summary: String, because: String| Some(Refusal::new(&rules::CLIENTS_LED, summary).because([because]));
    let own = services.iter().find(|service| service.name == set.service_name);
    if !own.is_some_and(|service| service.publishes_not_ready) {
        let summary = format!("the others would not find a founder of {} that is not Ready", set.name);
        return Ok(refusal(summary, format!("service/{}: publishNotReadyAddresses is not true", set.service_name)));
    }
    let leads = |service: &&Service| service.name != set.service_name && service.publishes_not_ready;
    Ok(services.iter().find(leads).and_then(|service| {
        let summary = format!("service/{} leads clients to pods of {} that are not Ready, too", service.name, set.name);
        refusal(summary, format!("service/{}: publishNotReadyAddresses is true", service.name))
    }))
}

/// The step at which it stops, unless it did so before.
pub(super) fn hold(seen: &Snapshot, memo: &Memo, founder: Ordinal) -> Option<Step> {
    if !memo.recovery.holds || memo.recovery.held {
        return None;
    }
    let name = &seen.target.name;
    let pod = bootstrap_name(name, founder);
    let say = format!(
        "stop here, with {pod} alone, until `kubectl mariadb operation resume {name}`: only then the others join. No Service leads to it \
         but {}, by which the members find each other",
        seen.objects.stateful_set.service_name
    );
    Some(Step::new("hold traffic", say, Action::Hold { ordinal: founder }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fact::Fact;
    use crate::model::kubernetes::Service;
    use crate::model::testing::healthy_galera;

    #[test]
    fn only_the_service_of_the_members_leads_to_a_pod_that_is_not_ready() {
        let mut seen = healthy_galera();
        assert!(matches!(impossible(&seen), Ok(None)));
        let Fact::Known(services) = &mut seen.objects.services else { panic!("services") };
        let clients = Service { name: "db-sql".to_owned(), headless: false, publishes_not_ready: false, ..services[0].clone() };
        services.push(clients);
        assert!(matches!(impossible(&seen), Ok(None)));
        let Fact::Known(services) = &mut seen.objects.services else { panic!("services") };
        services[1].publishes_not_ready = true;
        let refusal = impossible(&seen).unwrap().unwrap();
        assert!(refusal.rule == &rules::CLIENTS_LED && refusal.summary.contains("service/db-sql"), "{refusal:?}");
        let Fact::Known(services) = &mut seen.objects.services else { panic!("services") };
        (services[0].publishes_not_ready, services[1].publishes_not_ready) = (false, false);
        let refusal = impossible(&seen).unwrap().unwrap();
        assert!(refusal.summary.contains("would not find a founder"), "{refusal:?}");
        seen.objects.services = Fact::Unknown(Why::Forbidden("list services".to_owned()));
        assert!(impossible(&seen).is_err());
    }

    #[test]
    fn it_is_held_once() {
        let seen = healthy_galera();
        let mut memo = Memo::new(&seen);
        assert_eq!(hold(&seen, &memo, Ordinal(1)), None);
        memo.recovery.holds = true;
        let step = hold(&seen, &memo, Ordinal(1)).unwrap();
        assert!(step.act == Action::Hold { ordinal: Ordinal(1) } && step.say.contains("db-1-bootstrap alone"), "{step:?}");
        memo.recovery.held = true;
        assert_eq!(hold(&seen, &memo, Ordinal(1)), None);
    }
}
