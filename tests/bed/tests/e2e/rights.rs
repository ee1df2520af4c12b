//! The roles of `docs/rbac.md`, applied as they stand there: whoever has them and nothing else is refused nothing, and whoever
//! has nothing is told which right is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bed::testing::audit::AuditLog;
use bed::testing::run::{Ended, output, run};
use serde_json::Value;

use crate::grastate::{nothing_left, on_volume, scale_back, scale_to_zero};
use crate::stage::Stage;

const PAGE: &str = include_str!("../../../../docs/rbac.md");
/// The group that the page binds the roles to.
const GROUP: &str = "mariadb-on-call";
/// The same roles for all namespaces.
const EVERYWHERE: &str = "mariadb-on-call-everywhere";
/// What the page says that it leaves out.
const LEFT_OUT: [&str; 2] = ["secrets", "deployments"];
/// Every server is replaced, under writers.
const LIMIT: Duration = Duration::from_secs(400);

/// A row of the page, tried.
struct Try {
    args: &'static [&'static str],
    ends_with: &'static [i32],
    group: &'static str,
    /// What stdout holds, whoever may see it.
    shows: &'static str,
}

impl Try {
    const fn of(args: &'static [&'static str], ends_with: &'static [i32], shows: &'static str) -> Self {
        Self { args, ends_with, group: GROUP, shows }
    }

    /// Other clusters of the bed may be in any state.
    const fn everywhere(args: &'static [&'static str]) -> Self {
        Self { args, ends_with: &[0, 3, 4, 5], group: EVERYWHERE, shows: "db" }
    }
}

/// How a row is tried; `None`: by a trial of its own.
fn of_row(row: &str) -> Result<Option<Try>> {
    Ok(Some(match row {
        "status NAME" | "status NAME (a member of Galera crashes)" | "status NAME (of mariadb-operator)" => {
            Try::of(&["status", "db"], &[0], "db-2")
        }
        "status (all of a namespace)" => Try::of(&["status"], &[0], "db-2"),
        "status -A" => Try::everywhere(&["status", "-A"]),
        "status NAME --password-from …" => Try::of(&["status", "db", "--password-from=secret/db-root:password"], &[8], ""),
        "status NAME --no-exec" => Try::of(&["status", "db", "--no-exec"], &[0, 4], "db-2"),
        "wait NAME" => Try::of(&["wait", "db", "--for=healthy", "--timeout=2m"], &[0], "db-2"),
        "can-stop POD" => Try::of(&["can-stop", "db-1"], &[0, 5], "db-1"),
        "can-stop --node NODE" => Try::everywhere(&["can-stop", "--node", "n1"]),
        // The nodes of the bed are in no zone, but they may be listed to find that out.
        "can-stop --zone ZONE" => Try::of(&["can-stop", "--zone", "nowhere"], &[1], ""),
        "sql NAME" => Try::of(&["sql", "db", "-e", "SELECT 6*7"], &[0], "42"),
        "sql (the only cluster)" => Try::of(&["sql", "-e", "SELECT 6*7"], &[0], "42"),
        "galera grastate NAME" => Try::of(&["galera", "grastate", "db"], &[0], "db-2"),
        "version" => Try::of(&["version"], &[0], "v1.34"),
        "completion of names of clusters" => Try::of(&["__complete", "status", ""], &[0], "db"),
        "completion of names of pods" => Try::of(&["__complete", "can-stop", ""], &[0], "db-2"),
        "completion of names of nodes" => Try::of(&["__complete", "can-stop", "--node", ""], &[0], "n3"),
        "completion of names of namespaces" => Try::of(&["__complete", "-n", ""], &[0], "kube-system"),
        "stop NAME --dry-run=server" => Try::of(&["stop", "db", "--dry-run=server"], &[0], "accepted"),
        // One row after the other: what the first stops the second starts.
        "suspend NAME" => Try::of(&["suspend", "db", "--yes"], &[0], "does nothing for db"),
        "unsuspend NAME" => Try::of(&["unsuspend", "db", "--yes"], &[0], "works on db again"),
        "stop NAME" | "stop NAME (of mariadb-operator)" => Try::of(&["stop", "db", "--yes"], &[0], "is stopped"),
        "start NAME" | "start NAME (of mariadb-operator)" => Try::of(&["start", "db", "--yes"], &[0], "db runs"),
        // The same server under the name of its version.
        "upgrade NAME --image IMAGE" | "upgrade NAME --image IMAGE (of mariadb-operator)" => {
            Try::of(&["upgrade", "db", "--image", "bed.local/mariadb:11.8.6", "--yes"], &[0], "runs bed.local/mariadb:11.8.6")
        }
        "restart NAME" => Try::of(&["restart", "db", "--yes"], &[0], "was restarted"),
        "operation list" => Try::of(&["operation", "list"], &[0], "restart"),
        "operation show NAME" => Try::of(&["operation", "show", "db"], &[0], "start"),
        // Their helper pods are tried by a trial of its own.
        "galera grastate NAME --recover-positions (everything down)"
        | "galera recover NAME (everything down)"
        | "galera bootstrap POD (everything down)"
        // Of a set that replicates: `new_replica_of_the_page`, and `upgrade::primary_elsewhere`.
        | "scale NAME --replicas N (a new replica)"
        | "upgrade NAME --image IMAGE (the primary is handed over)" => return Ok(None),
        // The second gives back what the first takes.
        "scale NAME --replicas N" => Try::of(&["scale", "db", "--replicas", "2", "--yes"], &[0], "the volume of db-2 is kept"),
        "scale NAME --replicas N --prune-pvcs (a volume is left)" => {
            Try::of(&["scale", "db", "--replicas", "3", "--prune-pvcs", "--yes"], &[0], "db has 3 members")
        }
        // The operator's cluster here is one of Galera.
        "scale NAME --replicas N (of mariadb-operator)" => Try::of(&["scale", "db", "--replicas", "5", "--yes"], &[5], "MDB745"),
        "pvc list (all of a namespace)" => Try::of(&["pvc", "list"], &[0], "in use"),
        "pvc list -A" => Try::everywhere(&["pvc", "list", "-A"]),
        "pvc list NAME" => Try::of(&["pvc", "list", "db"], &[0], "in use"),
        "pvc list NAME --inspect" => Try::of(&["pvc", "list", "db", "--inspect", "--yes"], &[0], "in use"),
        "pvc prune NAME" => Try::of(&["pvc", "prune", "db", "--yes"], &[0], "is left over"),
        // The class of the other volumes does not expand; which one it is has to be read.
        "pvc expand NAME --size SIZE" => Try::of(&["pvc", "expand", "db", "--size", "2Gi", "--yes"], &[5], "MDB7"),
        "rebuild POD" => Try::of(&["rebuild", "db-2", "--yes"], &[0], "db-2 has a fresh copy"),
        // No node of the bed is lost here.
        "rebuild POD --new-volume (its node is lost)" => Try::of(&["rebuild", "db-2", "--new-volume", "--yes"], &[5], "MDB729"),
        _ => bail!("docs/rbac.md has the row {row:?}, and nobody has said here how it is tried"),
    }))
}

/// Whether a row is tried on a cluster of mariadb-operator, or on any other.
fn is_for(row: &str, operated: bool) -> bool {
    let is_operation = ["stop", "start", "suspend", "unsuspend", "operation", "scale", "rebuild", "upgrade", "restart"]
        .iter()
        .any(|verb| row.starts_with(verb));
    let of_operator = row.ends_with("(of mariadb-operator)") || row.contains("suspend");
    !is_operation || operated == of_operator
}

/// The commands in the first column of the page.
fn rows() -> impl Iterator<Item = &'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(row, _)| row)
}

fn grant(stage: &Stage) -> Result<()> {
    let yaml = PAGE.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```")).context("the page has no roles")?.0;
    // As the page says it; under other names, so that this bed's other trials keep theirs.
    let everywhere =
        yaml.replace("kind: Role", "kind: ClusterRole").replace("name: kubectl-", "name: everywhere-").replace(GROUP, EVERYWHERE);
    for roles in [yaml, &everywhere] {
        let apply = stage.cluster.bed.kubectl(&["apply", "-n", &stage.cluster.namespace, "-f", "-"]);
        output(apply, roles, Duration::from_secs(30))?;
    }
    Ok(())
}

fn run_as(stage: &Stage, user: &str, group: &str, args: &[&str]) -> Result<Ended> {
    let (namespace, timeout) = (format!("--namespace={}", stage.cluster.namespace), "--pod-timeout=15s");
    let mut all = vec!["--as", user, "--as-group", group];
    // For all namespaces is for all.
    if group != EVERYWHERE && !args.contains(&"-n") {
        all.push(&namespace);
    }
    // What is completed stands at the end, and nothing stands before `__complete`.
    let (before, args) = match args.split_first() {
        Some((&"__complete", words)) => (vec!["__complete"], words),
        _ => (vec![], args),
    };
    let mut command = stage.plugin.command(&[&before[..], &all, &[timeout], args].concat());
    // What is offered is the question here, not how fast.
    command.env("KUBECTL_MARIADB_COMPLETION_TIMEOUT", "15s");
    run(command, "", LIMIT)
}

/// The rights that this user was refused.
fn refused(audit: &AuditLog, user: &str) -> Result<BTreeSet<String>> {
    let since = audit.since()?;
    let requests: Vec<Value> = (since.lines().filter_map(|line| serde_json::from_str(line).ok()))
        .filter(|request: &Value| request["impersonatedUser"]["username"] == user)
        .collect();
    ensure!(!requests.is_empty(), "the audit log holds no request of {user}");
    let forbidden = requests.iter().filter(|request| request["responseStatus"]["code"] == 403);
    Ok(forbidden
        .map(|request| {
            let object = &request["objectRef"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {} {}",
                text(&request["verb"]),
                text(&object["apiGroup"]),
                text(&object["resource"]),
                text(&object["subresource"])
            )
        })
        .collect())
}

/// Every row of the page but those that create helper pods.
pub fn roles_of_the_page(stage: &Stage) -> Result<()> {
    grant(stage)?;
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let user = format!("on-call-{}", stage.cluster.namespace);
    let mut tried = 0;
    let operated = stage.cluster.shape.source == bed::testing::shape::Source::Operator;
    for row in rows().filter(|row| is_for(row, operated)) {
        let Some(Try { args, ends_with, group, shows }) = of_row(row)? else { continue };
        let ended = run_as(stage, &user, group, args)?;
        let told = format!("`{row}` ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr);
        ensure!(ended.code.is_some_and(|code| ends_with.contains(&code)), "{told}");
        ensure!(ended.stdout.contains(shows), "{told}");
        ensure!(!ended.stdout.contains("rights missing"), "{told}");
        tried += 1;
    }
    ensure!(tried > 10, "the table of the page was not understood: {tried} rows");
    let refused = refused(&audit, &user)?;
    let wrongly: Vec<&String> = refused.iter().filter(|right| !LEFT_OUT.iter().any(|out| right.contains(out))).collect();
    ensure!(wrongly.is_empty(), "the roles of the page lack {wrongly:?}");
    ensure!(refused.len() == LEFT_OUT.len(), "the page leaves out {LEFT_OUT:?}, and was refused {refused:?}");
    Ok(())
}

/// Nobody without a right is left without a sentence, and no command takes that for a verdict.
pub fn nothing_without_a_right(stage: &Stage) -> Result<()> {
    let mut rights = BTreeSet::new();
    for row in rows() {
        let Some(Try { args, .. }) = of_row(row)? else { continue };
        let ended = run_as(stage, "nobody-at-all", "nobody", args)?;
        let told = format!("`{row}` ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr);
        if row.starts_with("completion") {
            ensure!(ended.code == Some(0) && ended.stdout.lines().count() == 1 && ended.stderr.is_empty(), "{told}");
        } else if row == "version" {
            ensure!(ended.code == Some(0) && ended.stdout.contains('?'), "{told}");
        } else {
            let right = ended.stderr.lines().find_map(|line| line.strip_prefix("hint: you need the right to "));
            let right = right.with_context(|| told.clone())?;
            ensure!(ended.code == Some(8) && ended.stdout.is_empty() && ended.stderr.contains("is forbidden"), "{told}");
            rights.insert(right.to_owned());
        }
    }
    eprintln!("         {rights:?}");
    Ok(())
}

/// The row that seeds a new replica, on a set that replicates.
pub fn new_replica_of_the_page(stage: &Stage) -> Result<()> {
    by_the_page(stage, &["scale", "db", "--replicas", "4", "--yes"])?;
    nothing_left(stage)
}

/// Runs what has to succeed as somebody who has the roles of the page and nothing else.
pub fn by_the_page(stage: &Stage, args: &[&str]) -> Result<Ended> {
    grant(stage)?;
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let user = format!("on-call-{}", stage.cluster.namespace);
    let ended = run_as(stage, &user, GROUP, args)?;
    ensure!(ended.code == Some(0), "{:?}: {}{}", ended.code, ended.stdout, ended.stderr);
    let refused = refused(&audit, &user)?;
    ensure!(refused.is_empty(), "the roles of the page lack {refused:?}");
    Ok(ended)
}

/// The row that creates helper pods: a set that is down, and a position that only recovery can tell.
pub fn helpers_of_the_page(stage: &Stage) -> Result<()> {
    grant(stage)?;
    scale_to_zero(stage)?;
    on_volume(stage, 2, "sed -i 's/^seqno:.*/seqno:   -1/' grastate.dat")?;
    let audit = AuditLog::from_now(stage.cluster.bed.layout())?;
    let user = format!("on-call-{}", stage.cluster.namespace);
    let ended = run_as(stage, &user, GROUP, &["galera", "grastate", "db", "--recover-positions", "--yes", "-o", "json"])?;
    let document: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{}{}", ended.stdout, ended.stderr))?;
    let recovered = document["members"][2]["position"]["from"] == "recovery";
    ensure!(ended.code == Some(0) && recovered, "{:?}: {document:#}\n{}", ended.code, ended.stderr);
    let refused = refused(&audit, &user)?;
    ensure!(refused.is_empty(), "the roles of the page lack {refused:?}");
    nothing_left(stage)?;
    scale_back(stage)
}
