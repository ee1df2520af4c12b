//! Who is asked: the cluster, the account, the server.

use crate::api::connect::connect;
use crate::api::objects::{Scope, list_stateful_sets};
use crate::api::sql::client::Login;
use crate::api::{Api, PodRef, secret};
use crate::cli::{self, Request};
use crate::commands::missing_password;
use crate::decide::sql::{On, Role, choose};
use crate::failure::{Failure, Kind};
use crate::model::names::{Target, set_of_pod};
use crate::model::snapshot::Snapshot;
use crate::observe::{self, Depth};
use crate::output::prompt;
use crate::process::Process;

/// Everything that is known before a server is asked.
pub struct Place {
    pub api: Api,
    pub login: Login,
    pub seen: Snapshot,
}

/// One server.
pub struct Server {
    pub pod: PodRef,
    pub role: Role,
}

impl Place {
    /// Connects and looks at the cluster.
    ///
    /// # Errors
    /// There is no one cluster to ask, it cannot be looked at, or a password is missing.
    pub async fn find(request: &Request, args: &cli::Sql, process: &Process) -> Result<Self, Failure> {
        let api = connect(&(&request.connection).into(), &process.env, process.home.as_deref()).await?;
        let target = target(&api, args).await?;
        let (api, login) = login(api, request, args, process).await?;
        // A pod that the user names is asked whatever it is, unless it is to be written to.
        let exec = args.write || !matches!(args.on, On::Pod(_));
        let depth = Depth { exec, pod_timeout: request.pod_timeout, clock: process.clock };
        let seen = observe::cluster(&api, &target, depth).await?;
        if login.user.is_some() {
            return Ok(Self { api, login, seen });
        }
        let Some(password) = missing_password::ask(&seen, request, process)? else { return Ok(Self { api, login, seen }) };
        let login = Login { password: Some(password.reveal().to_owned()), ..login };
        let api = api.with_password(password);
        let seen = observe::cluster(&api, &target, depth).await?;
        Ok(Self { api, login, seen })
    }

    /// The server that is asked.
    ///
    /// # Errors
    /// There is none, or not one only.
    pub fn server(&self, args: &cli::Sql) -> Result<Server, Failure> {
        let choice = choose(&self.seen, &args.on, args.write)?;
        Ok(Server { pod: self.pod(self.seen.pod_name(choice.ordinal)), role: choice.role })
    }

    /// The database container of a pod of the cluster.
    #[must_use]
    pub fn pod(&self, name: String) -> PodRef {
        let container = self.seen.objects.stateful_set.layout.container.clone();
        PodRef { namespace: self.seen.target.namespace.clone(), name, container }
    }
}

/// The cluster that was named, that of the pod that was named, or the only one there is.
async fn target(api: &Api, args: &cli::Sql) -> Result<Target, Failure> {
    let namespace = api.namespace().to_owned();
    let of_pod = if let On::Pod(pod) = &args.on { set_of_pod(pod).map(str::to_owned) } else { None };
    if let Some(name) = args.target.as_ref().map(|target| target.name().to_owned()).or(of_pod) {
        return Ok(Target { namespace, name });
    }
    let sets = list_stateful_sets(api, Scope::Namespace(&namespace), None).await?;
    match sets.as_slice() {
        [only] => Ok(Target { namespace, name: only.name.clone() }),
        [] => Err(Failure::new(Kind::NotFound, format!("no StatefulSet in namespace {namespace} runs MariaDB"))
            .hint("name another namespace with -n")),
        several => {
            let names: Vec<&str> = several.iter().map(|set| set.name.as_str()).collect();
            Err(Failure::new(Kind::Other, format!("namespace {namespace} has several clusters: name the one to ask"))
                .hint(format!("they are: {}", names.join(", "))))
        }
    }
}

/// Whose name and password the statements use (safety G5: a password never comes from argv). With `--db-user` the password
/// that the user names is that account's, and the look goes on with the container's own.
async fn login(api: Api, request: &Request, args: &cli::Sql, process: &Process) -> Result<(Api, Login), Failure> {
    let named = secret::with_password(api.clone(), request.password_from.as_ref(), false).await?;
    let password = named.password().map(|password| password.reveal().to_owned());
    let database = args.database.clone();
    let Some(user) = &args.db_user else {
        return Ok((named, Login { user: None, password, database }));
    };
    let password = match password {
        Some(password) => password,
        None if process.terminal.stdin_is && process.terminal.stderr_is => prompt::password(&format!("Password of {user}: "))
            .map_err(|problem| Failure::new(Kind::Other, format!("the password cannot be read: {problem}")))?,
        None => {
            return Err(Failure::new(Kind::Usage, "--db-user needs a password, and there is no terminal to ask on")
                .hint("give --password-from secret/NAME:KEY"));
        }
    };
    Ok((api, Login { user: Some(user.clone()), password: Some(password), database }))
}
