//! `version`.

use std::collections::BTreeMap;

use futures::future::join3;

use crate::api::Api;
use crate::api::connect::connect;
use crate::api::objects::Scope;
use crate::api::secret::with_password;
use crate::api::versions;
use crate::cli::{self, Request};
use crate::decide::versions::Servers;
use crate::failure::{Exit, Failure};
use crate::model::fact::{Fact, Why};
use crate::model::operator_version::OperatorDeployment;
use crate::model::snapshot::Snapshot;
use crate::model::version::Version;
use crate::observe::{self, Depth};
use crate::output::Printer;
use crate::output::progress::during;
use crate::output::version::{ClientVersion, ClusterVersions, Versions};
use crate::process::{Process, run_async};

const CLIENT: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// What three questions gave. Only the client's version is needed: nothing here ends the command.
type Seen = (Fact<String>, Fact<Vec<OperatorDeployment>>, Fact<Vec<ClusterVersions>>);

pub fn run(request: &Request, args: &cli::Version, process: &Process, printer: &mut Printer) -> Exit {
    if args.client {
        return printer.show(&ClientVersion { client_version: CLIENT.to_owned() });
    }
    let depth = Depth { exec: true, pod_timeout: request.pod_timeout, clock: process.clock };
    let ask = async {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let api = with_password(api, request.password_from.as_ref(), args.all_namespaces).await?;
        let clusters = clusters(&api, args.all_namespaces, depth);
        Ok(join3(versions::kubernetes(&api), versions::operators(&api), clusters).await)
    };
    let seen = run_async(process.signals, during(process.terminal, "asking the API server and the pods", ask));
    let (kubernetes, operators, clusters) = match seen {
        Ok(seen) => seen,
        Err(failure) if failure.exit() == Exit::Interrupted => return printer.fail(&failure),
        Err(failure) => nothing(&failure),
    };
    printer.show(&Versions::new(CLIENT, &kubernetes, &operators, clusters))
}

fn nothing(failure: &Failure) -> Seen {
    let why = || Why::Failed(failure.message.clone());
    (Fact::Unknown(why()), Fact::Unknown(why()), Fact::Unknown(why()))
}

async fn clusters(api: &Api, everywhere: bool, depth: Depth) -> Fact<Vec<ClusterVersions>> {
    let scope = if everywhere { Scope::AllNamespaces } else { Scope::Namespace(api.namespace()) };
    match observe::clusters(api, scope, depth, |_| true).await {
        Ok(seen) => Fact::Known(seen.iter().map(versions_of).collect()),
        Err(failure) => Fact::Unknown(Why::Failed(failure.message)),
    }
}

fn versions_of(seen: &Snapshot) -> ClusterVersions {
    let mut known: BTreeMap<Version, Vec<String>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (ordinal, member) in &seen.members {
        let pod = seen.pod_name(*ordinal);
        match member.server.known() {
            Ok(server) => known.entry(server.version.clone()).or_default().push(pod),
            Err(why) => unknown.push((pod, why.into())),
        }
    }
    let servers = known.into_iter().map(|(version, pods)| Servers { version, pods }).collect();
    ClusterVersions::new(&seen.target, servers, unknown)
}
