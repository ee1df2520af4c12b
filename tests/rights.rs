//! `docs/rbac.md`: what each command asks of the API server, and which rights it cannot do without. Nothing in that page is
//! claimed: each command runs once to see what it asks, and once more without each of those rights.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::program::run;
use crate::support::right::Right;
use crate::support::server::{Answer, Server};
use crate::support::world::client::Reply;
use crate::support::world::{Cluster, Pod, Shared, World};

/// A command, and what it is run with to see its rights.
struct Command {
    name: &'static str,
    args: &'static [&'static str],
    world: fn() -> Shared,
}

fn galera() -> Shared {
    World::with([Cluster::galera("shop", "db", 3)])
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

/// Every command that asks the API server something.
const COMMANDS: &[Command] = &[
    Command { name: "status NAME", args: &["status", "db"], world: galera },
    Command { name: "status NAME (of mariadb-operator)", args: &["status", "db"], world: managed },
    Command { name: "status (all of a namespace)", args: &["status"], world: fleet },
    Command { name: "status -A", args: &["status", "-A"], world: fleet },
    Command { name: "can-stop POD", args: &["can-stop", "db-0"], world: replication },
    Command {
        name: "status NAME --password-from …",
        args: &["status", "db", "--password-from", "secret/db-root:password"],
        world: with_secret,
    },
    Command { name: "status NAME --no-exec", args: &["status", "db", "--no-exec"], world: galera },
    Command { name: "sql NAME", args: &["sql", "db", "-e", "SELECT 1"], world: answering },
    Command { name: "sql (the only cluster)", args: &["sql", "-e", "SELECT 1"], world: answering },
    Command { name: "galera grastate NAME", args: &["galera", "grastate", "db"], world: galera },
    Command {
        name: "galera grastate NAME --recover-positions (everything down)",
        args: &["galera", "grastate", "db", "--recover-positions", "--yes"],
        world: killed,
    },
];

/// Runs a command with `denied` refused; gives its exit code and what it asked.
async fn rights_of(command: &Command, denied: Option<&Right>) -> (u8, BTreeSet<Right>) {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let (world, denied, log) = ((command.world)(), denied.cloned(), Arc::clone(&asked));
    let server = Server::start(move |request| {
        let Some(right) = Right::of(request) else { return world.answer(request) };
        log.lock().unwrap().insert(right.clone());
        if Some(&right) == denied.as_ref() {
            return Answer::error(403, format!("User \"someone\" cannot {}", right.name()));
        }
        world.answer(request)
    })
    .await;
    let exit = run(&server, command.args).await.exit;
    drop(server);
    let asked = asked.lock().unwrap().clone();
    (exit, asked)
}

/// The rights of a command: whether it ends otherwise without each of them.
async fn table(command: &Command) -> BTreeMap<Right, bool> {
    let (whole, asked) = rights_of(command, None).await;
    let mut table = BTreeMap::new();
    for right in asked {
        let (without, _) = rights_of(command, Some(&right)).await;
        table.insert(right, without != whole);
    }
    table
}

#[tokio::test]
async fn the_page_says_what_was_seen() {
    let mut page = String::from(HEAD);
    let mut all = BTreeSet::new();
    for command in COMMANDS {
        let rights = table(command).await;
        assert!(rights.values().any(|needed| *needed), "`{}` needs nothing?", command.name);
        let named = |needed: bool| {
            let names: Vec<String> =
                rights.iter().filter(|(_, is)| **is == needed).map(|(right, _)| format!("`{}`", place(right))).collect();
            if names.is_empty() { "–".to_owned() } else { names.join(", ") }
        };
        writeln!(page, "| `{}` | {} | {} |", command.name, named(true), named(false)).unwrap();
        // To read every Secret is more than a reader should have: whoever names one grants that one.
        all.extend(rights.into_keys().filter(|right| right.resource != "secrets"));
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
    matches!(right.resource.as_str(), "nodes" | "persistentvolumes")
}

/// A Role for one namespace, and a `ClusterRole` for what has none.
fn roles(all: &BTreeSet<Right>) -> String {
    let is_change = |right: &Right| matches!(right.verb, "create" | "delete");
    let inside: BTreeSet<&Right> = all.iter().filter(|right| !has_no_namespace(right) && !is_change(right)).collect();
    let changes: BTreeSet<&Right> = all.iter().filter(|right| is_change(right)).collect();
    let outside: BTreeSet<&Right> = all.iter().filter(|right| has_no_namespace(right)).collect();
    format!(
        "```yaml\n{}---\n{}---\n{}```\n",
        role("Role", "kubectl-mariadb-reader", &inside),
        // Only for commands that create helper pods; see safety.md.
        role("Role", "kubectl-mariadb-helpers", &changes),
        role("ClusterRole", "kubectl-mariadb-nodes", &outside)
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
    let mut text = format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\nrules:\n");
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

This table is no list of intentions: a test runs each command, notes every request, then takes one right away at a time.

| command | needed | extra |
|---|---|---|
";

const MIDDLE: &str = "
`explain`, `completion` of commands and flags, and `version --client` ask nothing.

`status --watch` and `wait` need `list` and `watch` on everything that `status` gets and lists. Without `watch` they list every
ten seconds.

A right to exec into a database pod is the right to do anything in it: grant it to those who are on call. Passwords stay in
the container; no command reads a Secret unless `--password-from` names one. The Role below leaves Secrets out: grant `get` on
the one that is to be named (`resourceNames`), not on all.

## Roles

For everything above in one namespace (bind the ClusterRole with a ClusterRoleBinding; for `-A` bind the Role's rules in a
ClusterRole, too). Kubernetes 1.35 asks for `create` on `pods/exec` beside `get`, so both are there.

";
