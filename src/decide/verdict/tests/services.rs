use crate::decide::rules::kubernetes as rule;
use crate::model::fact::Fact;
use crate::model::kubernetes::{EndpointSlice, Service};
use crate::model::snapshot::Snapshot;
use crate::model::testing::{cut_off, galera_of, healthy_galera, healthy_replication, server_of, split_brain};
use crate::model::wsrep::LocalState;

use super::*;

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        rule: &rule::SERVICE_TO_BAD_POD,
        base: healthy_galera,
        hit: |seen| {
            readers(seen);
            galera_of(seen, 2).status.local_state = LocalState::Joined;
        },
        // A donor serves.
        miss: |seen| {
            readers(seen);
            galera_of(seen, 2).status.local_state = LocalState::DonorDesynced;
        },
    }]
}

/// A Service for clients that leads to every pod.
fn readers(seen: &mut Snapshot) {
    let (Fact::Known(services), Fact::Known(slices)) = (&mut seen.objects.services, &mut seen.objects.endpoint_slices) else {
        panic!("the Services are unknown");
    };
    let service = Service { name: "db-read".to_owned(), headless: false, publishes_not_ready: false, ..services[0].clone() };
    services.push(service);
    slices.push(EndpointSlice { service: "db-read".to_owned(), ..slices[0].clone() });
}

#[test]
fn a_service_is_held_to_the_servers_that_it_leads_to() {
    let told = |seen: &Snapshot| {
        let found = verdict(seen).findings;
        found.into_iter().find(|finding| finding.rule == &rule::SERVICE_TO_BAD_POD).map(|finding| finding.summary)
    };
    let mut split = split_brain();
    readers(&mut split);
    assert_eq!(told(&split).as_deref(), Some("Service db-read leads clients to both sides of a split brain"));
    let mut cut = cut_off();
    readers(&mut cut);
    assert_eq!(told(&cut).as_deref(), Some("Service db-read leads clients to db-2, which is non-Primary"));
    let mut replicas = healthy_replication();
    readers(&mut replicas);
    assert_eq!(told(&replicas), None);
    server_of(&mut replicas, 1).channels[0].sql_running = false;
    assert_eq!(told(&replicas).as_deref(), Some("Service db-read leads clients to db-1, which has stopped replicating"));
    // Nobody is sent there.
    let Fact::Known(slices) = &mut replicas.objects.endpoint_slices else { panic!("known") };
    slices[1].endpoints.insert("db-1".to_owned(), false);
    assert_eq!(told(&replicas), None);
}
