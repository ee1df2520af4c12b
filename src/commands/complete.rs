//! `__complete`, and the program's other name `kubectl_complete-mariadb`: what to offer for the word under the cursor.

use std::time::Duration;

use futures::future::join;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::flags::ConnectionFlags;
use crate::api::names::{self, KubeconfigNames};
use crate::api::objects::{Pods, Scope, list_pods, list_stateful_sets};
use crate::cli::complete::{Candidate, Names, Place, What, place};
use crate::cli::duration;
use crate::cli::global::Connection;
use crate::decide::rules;
use crate::failure::{Exit, Failure};
use crate::output::complete::{Answer, Otherwise};
use crate::process::{Process, run_async};

/// From the start of the program to its last line. Nobody waits longer for a list of words.
const LIMIT: Duration = Duration::from_millis(150);
/// More patience, for API servers far away: TCP, TLS and the request are three round trips.
const LIMIT_VARIABLE: &str = "KUBECTL_MARIADB_COMPLETION_TIMEOUT";
/// What starting the program and writing the answer take of it.
const MARGIN: Duration = Duration::from_millis(15);

/// What may follow `words`, whose last one is under the cursor. Failures have no words here: they would end up in the
/// middle of the line that is being typed.
pub fn run(words: &[String], process: &Process) -> Answer {
    let Place { what, begun, connection } = place(words);
    let (candidates, otherwise) = match what {
        What::Words(words) => (words, Otherwise::Nothing),
        What::Files => (Vec::new(), Otherwise::Files),
        What::Nothing => (Vec::new(), Otherwise::Nothing),
        What::Names(names) => {
            let found = connection.map(|connection| named(names, &begun, &unattended(&connection), process));
            (found.and_then(Result::ok).unwrap_or_default(), Otherwise::Nothing)
        }
    };
    Answer::new(candidates, &begun, otherwise)
}

fn named(names: Names, begun: &str, flags: &ConnectionFlags, process: &Process) -> Result<Vec<Candidate>, Failure> {
    let plain = |names: Vec<String>| names.into_iter().map(|name| Candidate::new(name, "")).collect();
    let kubeconfig = |part: fn(KubeconfigNames) -> Vec<String>| {
        names::kubeconfig(flags, &process.env, process.home.as_deref()).map(|names| plain(part(names)))
    };
    match names {
        Names::Codes => Ok(codes()),
        Names::Contexts => kubeconfig(|names| names.contexts),
        Names::KubeconfigClusters => kubeconfig(|names| names.clusters),
        Names::KubeconfigUsers => kubeconfig(|names| names.users),
        Names::Namespaces => ask(flags, process, async |api| Ok(plain(names::namespaces(&api).await?))),
        Names::Nodes => ask(flags, process, async |api| Ok(plain(names::nodes(&api).await?))),
        Names::Clusters => ask(flags, process, async |api| clusters(&api, begun).await),
        Names::Pods => ask(flags, process, async |api| pods(&api, begun).await),
    }
}

/// A login that asks for a password has no place in a line that is being typed.
fn unattended(connection: &Connection) -> ConnectionFlags {
    ConnectionFlags { unattended: true, ..connection.into() }
}

fn codes() -> Vec<Candidate> {
    let findings = rules::catalog().iter().map(|rule| Candidate::new(rule.code, rule.title));
    findings.chain(Exit::ALL.iter().map(|exit| Candidate::new(exit.code().to_string(), exit.meaning()))).collect()
}

/// Asks the API server, and gives up in time.
fn ask(
    flags: &ConnectionFlags,
    process: &Process,
    question: impl AsyncFnOnce(Api) -> Result<Vec<Candidate>, Failure>,
) -> Result<Vec<Candidate>, Failure> {
    run_async(process.signals, async {
        let end = Instant::now() + limit(process).saturating_sub(MARGIN);
        let answer = async { question(connect(flags, &process.env, process.home.as_deref()).await?).await };
        tokio::time::timeout_at(end, answer).await.unwrap_or_else(|_| Ok(Vec::new()))
    })
}

fn limit(process: &Process) -> Duration {
    process.env.get(LIMIT_VARIABLE).and_then(|text| duration::parse(text).ok()).unwrap_or(LIMIT)
}

/// Sets that run MariaDB, and the operator's objects; in the form that was begun.
async fn clusters(api: &Api, begun: &str) -> Result<Vec<Candidate>, Failure> {
    let kind = begun.split_once('/').map(|(kind, _)| format!("{kind}/"));
    let (sets, objects) =
        join(list_stateful_sets(api, Scope::Namespace(api.namespace()), None), names::mariadbs(api, api.namespace())).await;
    // Without the operator, or the right to list its objects, there are still the sets.
    let objects = objects.unwrap_or_default();
    let objects = objects.into_iter().map(|name| Candidate::new(name, "MariaDB of the operator"));
    let sets = sets.unwrap_or_default();
    let sets = sets.into_iter().map(|set| Candidate::new(set.name, replicas(set.replicas)));
    let mut found: Vec<Candidate> = match kind.as_deref() {
        Some(kind) if kind.starts_with("mariadb") => objects.collect(),
        Some(_) => sets.collect(),
        // The operator names its set like its object: the object says more.
        None => objects.chain(sets).collect(),
    };
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|candidate| seen.insert(candidate.word.clone()));
    Ok(prefixed(kind.as_deref(), found))
}

fn replicas(count: u32) -> String {
    format!("StatefulSet, {count} {}", if count == 1 { "replica" } else { "replicas" })
}

/// Pods of sets that run MariaDB.
async fn pods(api: &Api, begun: &str) -> Result<Vec<Candidate>, Failure> {
    let scope = Scope::Namespace(api.namespace());
    let (sets, pods) = join(list_stateful_sets(api, scope, None), list_pods(api, scope, &Pods::OfAnySet)).await;
    let (sets, pods) = (sets?, pods?);
    let found = pods.into_values().flatten().filter_map(|owned| {
        let set = sets.iter().find(|set| owned.controller.as_ref() == Some(&set.uid))?;
        let node = owned.pod.node.as_deref().unwrap_or("no node");
        Some(Candidate::new(&owned.pod.name, format!("{} on {node}", set.name)))
    });
    let kind = begun.split_once('/').map(|(kind, _)| format!("{kind}/"));
    Ok(prefixed(kind.as_deref(), found.collect()))
}

fn prefixed(kind: Option<&str>, mut found: Vec<Candidate>) -> Vec<Candidate> {
    let kind = kind.unwrap_or_default();
    found.iter_mut().for_each(|candidate| candidate.word.insert_str(0, kind));
    found
}
