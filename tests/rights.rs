//! `docs/rbac.md`: what each command asks of the API server, and which rights it cannot do without. Nothing in that page is
//! claimed: each command runs once to see what it asks, and once more without each of those rights.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::support::program::{run_quickly, start};
use crate::support::right::Right;
use crate::support::server::{Answer, Server};
use crate::support::world::client::Reply;
use crate::support::world::{Cluster, Pod, Shared, World};

/// A command, and what it is run with to see its rights.
struct Command {
    name: &'static str,
    args: &'static [&'static str],
    world: fn() -> Shared,
    /// What is run before it; empty: nothing.
    first: &'static [&'static str],
}

impl Command {
    const fn new(name: &'static str, args: &'static [&'static str], world: fn() -> Shared) -> Self {
        Self { name, args, world, first: &[] }
    }

    const fn after(self, first: &'static [&'static str]) -> Self {
        Self { first, ..self }
    }

    /// Operations have a pace of their own.
    fn is_operation(&self) -> bool {
        const VERBS: [&str; 10] =
            ["stop", "start", "suspend", "unsuspend", "upgrade", "restart", "scale", "rebuild", "operation", "pvc"];
        VERBS.contains(&self.args[0]) || ["recover", "bootstrap"].iter().any(|verb| self.args.contains(verb))
    }
}

fn galera() -> Shared {
    World::with([Cluster::galera("shop", "db", 3)])
}

fn controlled() -> Shared {
    World::with([Cluster::galera("shop", "db", 3).controlled(false)])
}

/// Two members, and the volume of a third.
fn with_volume_left() -> Shared {
    let world = controlled();
    world.lock().cluster("db").scale(2);
    world
}

/// Every server was killed, and none comes up by itself.
fn crashed() -> Shared {
    let world = controlled();
    world.lock().cluster("db").as_galera().kill(&[0, 1, 2]);
    (0..3).for_each(|ordinal| world.lock().cluster("db").crash_loop(ordinal));
    world
}

/// One member does not stay up, beside the others.
fn crashes() -> Shared {
    let world = World::with([Cluster::galera("shop", "db", 3)]);
    world.lock().cluster("db").crash_loop(2);
    world
}

/// The node with the volume of one member is gone.
fn without_node() -> Shared {
    let world = controlled();
    let mut locked = world.lock();
    let cluster = locked.cluster("db");
    cluster.as_galera().kill(&[2]);
    cluster.member(2).pod = Pod::Pending("0/2 nodes are available");
    cluster.member(2).claim_node = Some("n3");
    locked.nodes.remove("n3");
    drop(locked);
    world
}

/// Three servers that replicate, with volumes larger than the template says.
fn replicating() -> Shared {
    let mut cluster = Cluster::replication("shop", "db", 3).controlled(false);
    for ordinal in 0..3 {
        cluster.volumes.sizes.insert(ordinal, (2, 2));
    }
    World::with([cluster])
}

/// Three servers whose primary is not the pod that is replaced last.
fn led_by_another() -> Shared {
    World::with([Cluster::replication("shop", "db", 3).led_by(1).controlled(false)])
}

/// A scale-in has left two volumes: before the second deletion the journal is there already.
fn scaled_in() -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 5).controlled(false);
    cluster.scale(3);
    World::with([cluster])
}

fn operated() -> Shared {
    World::with([Cluster::galera("shop", "db", 3).controlled(false).operated()])
}

fn seeding() -> Shared {
    World::with([Cluster::replication("shop", "db", 3).controlled(false).seeding()])
}

fn managed() -> Shared {
    World::with([Cluster::galera("shop", "db", 3).managed()])
}

fn replication() -> Shared {
    World::with([Cluster::replication("shop", "db", 3)])
}

fn with_secret() -> Shared {
    let world = galera();
    let secret = json!({ "metadata": { "name": "db-root", "namespace": "shop" }, "data": { "password": "c2VjcmV0" } });
    world.lock().secrets = vec![secret];
    world
}

fn fleet() -> Shared {
    World::with([Cluster::galera("shop", "db", 3), Cluster::replication("shop", "users", 3).managed()])
}

/// A server that answers the statement below.
fn answering() -> Shared {
    let world = World::with([Cluster::replication("shop", "db", 3)]);
    world.lock().reply("SELECT 1", Reply::rows(&["1"], &[&[Some("1")]]));
    world
}

/// Nothing runs, and no position is saved.
fn killed() -> Shared {
    let mut cluster = Cluster::galera("shop", "db", 3);
    cluster.as_galera().kill(&[0, 1, 2]);
    cluster.replicas = 0;
    (0..3).for_each(|ordinal| cluster.member(ordinal).pod = Pod::Absent);
    World::with([cluster])
}

const STOP: &[&str] = &["stop", "db", "--yes"];
const UPGRADE: &[&str] = &["upgrade", "db", "--image", "mariadb:11.8.9", "--yes"];
const SUSPEND: &[&str] = &["suspend", "db", "--yes"];

/// Every command that asks the API server something.
const COMMANDS: &[Command] = &[
    Command::new("status NAME", &["status", "db"], galera),
    Command::new("status NAME (a member of Galera crashes)", &["status", "db"], crashes),
    Command::new("status NAME (of mariadb-operator)", &["status", "db"], managed),
    Command::new("status (all of a namespace)", &["status"], fleet),
    Command::new("status -A", &["status", "-A"], fleet),
    // The second look of `wait` comes after eight seconds: by then everything is watched.
    Command::new("wait NAME", &["wait", "db", "--for=healthy"], managed),
    Command::new("can-stop POD", &["can-stop", "db-0"], replication),
    Command::new("can-stop --node NODE", &["can-stop", "--node", "n1"], managed),
    Command::new("can-stop --zone ZONE", &["can-stop", "--zone", "zone-n1"], managed),
    Command::new("status NAME --password-from …", &["status", "db", "--password-from", "secret/db-root:password"], with_secret),
    Command::new("status NAME --no-exec", &["status", "db", "--no-exec"], galera),
    Command::new("sql NAME", &["sql", "db", "-e", "SELECT 1"], answering),
    Command::new("sql (the only cluster)", &["sql", "-e", "SELECT 1"], answering),
    Command::new("galera grastate NAME", &["galera", "grastate", "db"], galera),
    Command::new(
        "galera grastate NAME --recover-positions (everything down)",
        &["galera", "grastate", "db", "--recover-positions", "--yes"],
        killed,
    ),
    Command::new("stop NAME --dry-run=server", &["stop", "db", "--dry-run=server"], controlled),
    Command::new("stop NAME", STOP, controlled),
    Command::new("start NAME", &["start", "db", "--yes"], controlled).after(STOP),
    Command::new("stop NAME (of mariadb-operator)", STOP, operated),
    Command::new("start NAME (of mariadb-operator)", &["start", "db", "--yes"], operated).after(STOP),
    Command::new("suspend NAME", SUSPEND, operated),
    Command::new("unsuspend NAME", &["unsuspend", "db", "--yes"], operated).after(SUSPEND),
    Command::new("galera recover NAME (everything down)", &["galera", "recover", "db", "--yes"], crashed),
    Command::new("galera bootstrap POD (everything down)", &["galera", "bootstrap", "db-1", "--yes"], crashed),
    Command::new("scale NAME --replicas N", &["scale", "db", "--replicas", "2", "--yes"], controlled),
    Command::new("scale NAME --replicas N (a new replica)", &["scale", "db", "--replicas", "4", "--yes"], replicating),
    Command::new(
        "scale NAME --replicas N --prune-pvcs (a volume is left)",
        &["scale", "db", "--replicas", "3", "--prune-pvcs", "--yes"],
        with_volume_left,
    ),
    Command::new("scale NAME --replicas N (of mariadb-operator)", &["scale", "db", "--replicas", "4", "--yes"], seeding),
    Command::new("rebuild POD", &["rebuild", "db-2", "--yes"], controlled),
    Command::new("rebuild POD --new-volume (its node is lost)", &["rebuild", "db-2", "--new-volume", "--yes"], without_node),
    Command::new("upgrade NAME --image IMAGE", UPGRADE, controlled),
    Command::new("upgrade NAME --image IMAGE (the primary is handed over)", UPGRADE, led_by_another),
    Command::new("upgrade NAME --image IMAGE (of mariadb-operator)", UPGRADE, operated),
    Command::new("restart NAME", &["restart", "db", "--yes"], controlled),
    Command::new("pvc list (all of a namespace)", &["pvc", "list"], fleet),
    Command::new("pvc list -A", &["pvc", "list", "-A"], fleet),
    Command::new("pvc list NAME", &["pvc", "list", "db"], scaled_in),
    Command::new("pvc list NAME --inspect", &["pvc", "list", "db", "--inspect", "--yes"], scaled_in),
    Command::new("pvc prune NAME", &["pvc", "prune", "db", "--yes"], scaled_in),
    Command::new("pvc expand NAME --size SIZE", &["pvc", "expand", "db", "--size", "2Gi", "--yes"], controlled),
    Command::new("operation list", &["operation", "list"], controlled).after(STOP),
    Command::new("operation show NAME", &["operation", "show", "db"], controlled).after(STOP),
    Command::new("version", &["version"], fleet),
    Command::new("completion of names of clusters", &["__complete", "status", ""], fleet),
    Command::new("completion of names of pods", &["__complete", "can-stop", ""], fleet),
    Command::new("completion of names of nodes", &["__complete", "can-stop", "--node", ""], fleet),
    Command::new("completion of names of namespaces", &["__complete", "-n", ""], fleet),
];

/// Runs of one command beside each other: some wait eight seconds for a second look.
const AT_ONCE: usize = 16;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Commands that give what they can, whatever is missing.
const NEEDS_NOTHING: [&str; 2] = ["version", "completion"];

/// More than a reader should have, for the little that it gives: every Secret (whoever names one grants that one), every
/// Deployment of every namespace.
const NOT_GRANTED: [&str; 2] = ["secrets", "deployments"];

/// Runs a command with `denied` refused; gives its exit code and what it asked.
async fn rights_of(command: &Command, denied: Option<&Right>) -> (u8, BTreeSet<Right>) {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let (world, denied, log) = ((command.world)(), denied.cloned(), Arc::clone(&asked));
    if !command.first.is_empty() {
        assert_eq!(run_quickly(&world.serve().await, command.first).await.exit, 0, "{:?}", command.first);
    }
    let server = Server::start(move |request| {
        let Some(right) = Right::of(request) else { return world.answer(request) };
        log.lock().unwrap().insert(right.clone());
        if Some(&right) == denied.as_ref() {
            return Answer::error(403, format!("User \"someone\" cannot {}", right.name()));
        }
        world.answer(request)
    })
    .await;
    let patient = [command.args, &["--pod-timeout=15s"]].concat();
    let args = if command.args[0] == "__complete" { command.args } else { &patient };
    let exit =
        if command.is_operation() { run_quickly(&server, args).await.exit } else { start(&server, args, false).end().await.exit };
    drop(server);
    let asked = asked.lock().unwrap().clone();
    (exit, asked)
}

/// The rights of a command: whether it ends otherwise without each of them.
async fn table(command: &Command) -> BTreeMap<Right, bool> {
    let (whole, asked) = rights_of(command, None).await;
    let without = stream::iter(asked).map(async |right| {
        let (without, _) = rights_of(command, Some(&right)).await;
        (right, without != whole)
    });
    without.buffered(AT_ONCE).collect().await
}

#[tokio::test]
async fn the_page_says_what_was_seen() {
    let mut page = String::from(HEAD);
    let mut all = BTreeSet::new();
    // Two or three of them wait for second looks.
    let mut tables = stream::iter(COMMANDS).map(async |command| (command, table(command).await)).buffered(4);
    while let Some((command, rights)) = tables.next().await {
        let needs_nothing = NEEDS_NOTHING.iter().any(|name| command.name.starts_with(name));
        assert_eq!(rights.values().any(|needed| *needed), !needs_nothing, "{}: {rights:?}", command.name);
        let in_all = |right: &Right| rights.contains_key(&Right { namespaced: false, ..right.clone() });
        let named = |needed: bool| {
            let own = rights.iter().filter(|(right, is)| **is == needed && !(right.namespaced && in_all(right)));
            let names: Vec<String> = own.map(|(right, _)| format!("`{}`", place(right))).collect();
            if names.is_empty() { "–".to_owned() } else { names.join(", ") }
        };
        writeln!(page, "| `{}` | {} | {} |", command.name, named(true), named(false)).unwrap();
        all.extend(rights.into_keys().filter(|right| !NOT_GRANTED.contains(&right.resource.as_str())));
    }
    page.push_str(MIDDLE);
    page.push_str(&roles(&all));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rbac.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/rbac.md is not what was seen; run: UPDATE_DOCS=1 cargo test --test hermetic rights");
}

fn place(right: &Right) -> String {
    let cluster_wide = !right.namespaced && !has_no_namespace(right);
    format!("{}{}", right.name(), if cluster_wide { " (all namespaces)" } else { "" })
}

/// Objects of the whole cluster: a Role cannot grant them.
fn has_no_namespace(right: &Right) -> bool {
    matches!(right.resource.as_str(), "namespaces" | "nodes" | "persistentvolumes" | "storageclasses")
}

/// A Role for one namespace, one for commands that change something (safety.md), and a `ClusterRole` for what is in no
/// namespace; each with its binding.
fn roles(all: &BTreeSet<Right>) -> String {
    let is_change = |right: &Right| matches!(right.verb, "create" | "delete" | "patch");
    let outside: BTreeSet<&Right> = all.iter().filter(|right| has_no_namespace(right)).collect();
    let (changes, inside): (BTreeSet<&Right>, BTreeSet<&Right>) =
        all.iter().filter(|right| !has_no_namespace(right)).partition(|right| is_change(right));
    let parts = [
        role("Role", "kubectl-mariadb-reader", &inside),
        binding("Role", "kubectl-mariadb-reader"),
        role("Role", "kubectl-mariadb-operations", &changes),
        binding("Role", "kubectl-mariadb-operations"),
        role("ClusterRole", "kubectl-mariadb-cluster-scoped", &outside),
        binding("ClusterRole", "kubectl-mariadb-cluster-scoped"),
    ];
    format!("```yaml\n{}```\n", parts.join("---\n"))
}

fn binding(kind: &str, name: &str) -> String {
    format!(
        "apiVersion: {RBAC}/v1
kind: {kind}Binding
metadata:
  name: {name}
roleRef: {{apiGroup: {RBAC}, kind: {kind}, name: {name}}}
subjects:
  - {{apiGroup: {RBAC}, kind: Group, name: mariadb-on-call}}
"
    )
}

fn role(kind: &str, name: &str, rights: &BTreeSet<&Right>) -> String {
    let mut by_resource: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        by_resource.entry((&right.group, &right.resource)).or_default().insert(right.verb);
    }
    for (_, verbs) in by_resource.iter_mut().filter(|((_, resource), _)| *resource == "pods/exec") {
        // From Kubernetes 1.35 on a websocket exec needs `create` beside `get`.
        verbs.insert("create");
    }
    // What may be done alike is one rule.
    let mut rules: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in by_resource {
        rules.entry((group, verbs.into_iter().collect())).or_default().push(resource);
    }
    let mut text = format!("apiVersion: {RBAC}/v1\nkind: {kind}\nmetadata:\n  name: {name}\nrules:\n");
    for ((group, verbs), resources) in rules {
        writeln!(text, "  - apiGroups: [{group:?}]").unwrap();
        writeln!(text, "    resources: [{}]", resources.join(", ")).unwrap();
        writeln!(text, "    verbs: [{}]", verbs.join(", ")).unwrap();
    }
    text
}

const HEAD: &str = "<!-- Written by a test from what was seen: UPDATE_DOCS=1 cargo test --test hermetic rights -->
# Rights

What each command asks of the API server. Without a *needed* right the command cannot give its answer and ends with another
exit code (8, naming the right). Without an *extra* right the answer stays, what is missing shows as `?`, and one last line
names the right.

This table is no list of intentions: a test runs each command, notes every request, then takes one right away at a time. The
roles below are tried on a real API server: whoever has them and nothing else is refused nothing that stands here.

| command | needed | extra |
|---|---|---|
";

const MIDDLE: &str = "
`explain`, `completion` of commands and flags, and `version --client` ask nothing.

`status --watch` asks what `wait` asks, `--settled` what `status` asks. Without `watch` they list every ten seconds.

A right to exec into a database pod is the right to do anything in it: grant it to those who are on call. Passwords stay in
the container; no command reads a Secret unless `--password-from` names one. The Role below leaves Secrets out: grant `get` on
the one that is to be named (`resourceNames`), not on all.

`version` and `status` tell the version of a mariadb-operator to those who may list Deployments in all namespaces, and show `?`
to everybody else; the roles leave that out, and no line asks for it.

## Roles

Put your own group, or users and service accounts, in the place of `mariadb-on-call`, and your operator's API group in the place
of `k8s.mariadb.com` if it is another one (`enterprise.mariadb.com`, `mariadb.mmontes.io`, `database.mmontes.io`). Then
`kubectl apply -n NAMESPACE -f FILE` grants everything above in one namespace. Leave `kubectl-mariadb-operations` out for those who
shall only read. For all namespaces (`-A`, `can-stop --node` without `-n`) write ClusterRole and ClusterRoleBinding wherever it
says Role and RoleBinding. Kubernetes 1.35 asks for `create` on `pods/exec` beside `get`, so both are there.

";
