//! `can-stop`.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join, try_join_all};

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::disruption::{check_node, get_local_volumes, list_budgets, list_nodes_of_zone};
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::cli::{self, Request};
use crate::decide::can_stop::{Answer, Beside, Decision, Leave, Load, Stop, can_stop, confirmed};
use crate::decide::settled::APART;
use crate::decide::unobserved;
use crate::decide::verdict::verdict;
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::{Ordinal, Target};
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};
use crate::output::Printer;
use crate::output::can_stop::{CanStop, CanStopCluster};
use crate::output::command_line::OwnFlags;
use crate::output::progress::during;
use crate::output::status::Status;
use crate::process::{Process, run_async};

/// What is asked about, and where it is looked for.
struct Question {
    text: String,
    notes: Vec<String>,
    clusters: Vec<(Snapshot, Stop)>,
}

/// Looks once, and a second time to confirm a yes.
pub fn run(request: &Request, args: &cli::CanStop, process: &Process, printer: &mut Printer) -> Exit {
    let flags = OwnFlags::new(&request.connection, request.password_from.as_ref(), true);
    let depth = Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock };
    let work = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), false).await?;
        let first = during(process.terminal, "asking the API server and the pods", ask(&api, request, args, depth)).await?;
        let beside = beside(&api, &first.clusters, depth).await;
        let decisions: Vec<Decision> = first.clusters.iter().map(|(seen, stop)| can_stop(seen, stop, &beside)).collect();
        if decisions.is_empty() || decisions.iter().any(|decision| decision.answer() == Answer::No) {
            return Ok((first, None, decisions));
        }
        printer.progress(&format!("nothing speaks against it; a second look follows in {} s", APART.as_secs()));
        tokio::time::sleep(APART + Duration::from_millis(100)).await;
        let again = first.clusters.iter().map(|(seen, _)| observe::cluster(&api, &seen.target, depth));
        let second = try_join_all(again).await?;
        let pairs = first.clusters.iter().zip(&second);
        let decisions = pairs.map(|((before, stop), seen)| confirmed(before, seen, stop, &beside)).collect();
        Ok((first, Some(second), decisions))
    };
    let (first, second, decisions) = match run_async(process.signals, work) {
        Ok(looked) => looked,
        Err(failure) => return printer.fail(&failure),
    };
    let mut forbidden = false;
    let clusters = first.clusters.iter().zip(&decisions).enumerate().map(|(index, ((before, _), decision))| {
        let after = second.as_ref().and_then(|second| second.get(index));
        let newest = after.unwrap_or(before);
        let looks: Vec<&Snapshot> = std::iter::once(before).chain(after).collect();
        forbidden |= unobserved(newest).needed.iter().any(|gap| matches!(gap.why, Why::Forbidden(_)));
        CanStopCluster::new(&looks, &Status::new(newest, &verdict(newest), None, &flags), decision)
    });
    let clusters = clusters.collect();
    printer.show(&CanStop::new(first.text, clusters, first.notes, forbidden))
}

async fn ask(api: &Api, request: &Request, args: &cli::CanStop, depth: Depth) -> Result<Question, Failure> {
    if let Some(pod) = &args.pod {
        return ask_pod(api, &pod.0, depth).await;
    }
    let (text, nodes) = match (&args.node, &args.zone) {
        (Some(node), _) => {
            check_node(api, node).await?;
            (format!("node {node}"), BTreeSet::from([node.clone()]))
        }
        (None, Some(zone)) => (format!("zone {zone}"), list_nodes_of_zone(api, zone).await?),
        (None, None) => return Err(Failure::new(Kind::Usage, "name a pod, --node or --zone")),
    };
    let one = request.connection.namespace.as_deref();
    let scope = one.map_or(Scope::AllNamespaces, Scope::Namespace);
    let seen = observe::clusters(api, scope, depth, |seen| !on(seen, &nodes).is_empty()).await;
    let seen = seen.map_err(|failure| match (failure.kind, one) {
        (Kind::Forbidden, None) => {
            failure.hint("a node is shared by all namespaces; with -n only the clusters of one are asked about")
        }
        _ => failure,
    })?;
    let notes = one.map(|namespace| format!("only namespace {namespace} was looked at: others may have servers there, too"));
    let clusters = seen.into_iter().map(|seen| {
        let stop = Stop { ordinals: on(&seen, &nodes), nodes: true, load: Load::Quiet, leave: Leave::EitherWay };
        (seen, stop)
    });
    Ok(Question { text, notes: notes.into_iter().collect(), clusters: clusters.collect() })
}

/// The pods of a cluster on these nodes.
fn on(seen: &Snapshot, nodes: &BTreeSet<String>) -> BTreeSet<Ordinal> {
    let there = |ordinal: &Ordinal| {
        let pod = seen.members[ordinal].pod.as_ref();
        pod.and_then(|pod| pod.node.as_ref()).is_some_and(|node| nodes.contains(node))
    };
    seen.members.keys().copied().filter(there).collect()
}

async fn ask_pod(api: &Api, pod: &str, depth: Depth) -> Result<Question, Failure> {
    let namespace = api.namespace();
    let unknown = || {
        Failure::new(Kind::NotFound, format!("there is no pod {pod} of a MariaDB StatefulSet in namespace {namespace}"))
            .hint("`kubectl mariadb status` shows the pods of every cluster of the namespace")
    };
    let set = pod.rsplit_once('-').map(|(set, _)| set).filter(|set| Ordinal::of_pod(set, pod).is_some()).ok_or_else(unknown)?;
    let target = Target { namespace: namespace.to_owned(), name: set.to_owned() };
    let seen = observe::cluster(api, &target, depth).await;
    let seen = seen.map_err(|failure| if failure.kind == Kind::NotFound { unknown() } else { failure })?;
    let ordinal = Ordinal::of_pod(set, pod).filter(|ordinal| seen.members.contains_key(ordinal)).ok_or_else(unknown)?;
    let stop = Stop { ordinals: BTreeSet::from([ordinal]), nodes: false, load: Load::Quiet, leave: Leave::EitherWay };
    Ok(Question { text: format!("pod {namespace}/{pod}"), notes: Vec::new(), clusters: vec![(seen, stop)] })
}

/// Budgets and local volumes, in parallel; extras have the time of a pod.
async fn beside(api: &Api, clusters: &[(Snapshot, Stop)], depth: Depth) -> Beside {
    let namespaces: BTreeSet<&str> = clusters.iter().map(|(seen, _)| seen.target.namespace.as_str()).collect();
    let claims = clusters.iter().flat_map(|(seen, stop)| {
        let own = stop.ordinals.iter().filter_map(|ordinal| seen.members.get(ordinal)?.pod.as_ref()).flat_map(|pod| &pod.claims);
        let own: BTreeSet<&String> = own.collect();
        seen.objects.claims.known().into_iter().flatten().filter(move |claim| own.contains(&claim.name))
    });
    let volumes: BTreeSet<&str> = claims.filter_map(|claim| claim.volume.as_deref()).collect();
    let budgets =
        futures::future::join_all(namespaces.into_iter().map(|namespace| list_budgets(api, Scope::Namespace(namespace))));
    let (budgets, volumes) = join(
        observe::within(depth.pod_timeout, async { together(budgets.await) }),
        observe::within(depth.pod_timeout, get_local_volumes(api, volumes)),
    )
    .await;
    Beside { budgets, volumes }
}

/// All of them, or why some are not known.
fn together<T>(facts: Vec<Fact<Vec<T>>>) -> Fact<Vec<T>> {
    let mut all = Vec::new();
    for fact in facts {
        match fact {
            Fact::Known(some) => all.extend(some),
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
    }
    Fact::Known(all)
}
