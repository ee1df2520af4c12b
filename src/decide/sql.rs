//! Which server a statement goes to. Roles come from SQL, never from labels.

use std::fmt;

use crate::failure::{Failure, Kind};
use crate::model::fact::Why;
use crate::model::galera::Groups;
use crate::model::names::Ordinal;
use crate::model::replica::{Channel, IoThread};
use crate::model::server::Server;
use crate::model::snapshot::Snapshot;
use crate::model::sql::{Quoting, Statement, only_reads, split};
use crate::model::topology::{Primary, Source, Topology, source_of};
use crate::model::wsrep::LocalState;

/// Where the user wants a statement to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// The server that takes the writes; of a Galera cluster any Synced member of the primary component.
    Primary,
    /// A replica whose threads run.
    Replica,
    All,
    Pod(String),
}

/// The server that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub ordinal: Ordinal,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica,
    /// Of a Galera cluster, in its primary component.
    Synced,
    /// The only server.
    Single,
    /// The user named the pod.
    Named,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "the primary",
            Self::Replica => "a replica",
            Self::Synced => "a Synced member of the primary component",
            Self::Single => "the only server",
            Self::Named => "the pod you named",
        })
    }
}

/// Whether `--write` makes sense there, before anybody is asked (safety G4).
///
/// # Errors
/// A refusal.
pub fn may_write(on: &On) -> Result<(), Failure> {
    let refuse = |message: &str| Err(Failure::new(Kind::Refused, message).hint("leave --on away: the primary takes the write"));
    match on {
        On::All => refuse("--write does not go with --on all: the same change on every server breaks replication"),
        On::Replica => refuse("--write does not go with --on replica: what is written there is missing on the primary"),
        On::Primary | On::Pod(_) => Ok(()),
    }
}

/// The statements of some texts, all of which may run: none has run when one is refused (safety G4).
///
/// # Errors
/// A refusal that quotes the statement; a text that cannot be sent, or holds no statement.
pub fn guarded(texts: &[String], quoting: Quoting, write: bool) -> Result<Vec<Statement>, Failure> {
    let mut statements = Vec::new();
    for text in texts {
        let wrong = |line: usize, what: &str| Err(Failure::new(Kind::Usage, format!("line {line}: {what}")));
        let split = match split(text, quoting, ";") {
            Ok(split) => split,
            Err(problem) => return wrong(problem.line, &problem.what),
        };
        let lines = text.len() - split.rest.trim_start().len();
        let line = 1 + text.get(..lines).unwrap_or_default().matches('\n').count();
        if split.open {
            return wrong(line, "a quote or a comment that begins here or later does not end");
        }
        statements.extend(split.statements);
        if !split.rest.trim().is_empty() {
            statements.push(Statement { text: split.rest.trim().to_owned(), line, vertical: false });
        }
    }
    if statements.is_empty() {
        return Err(Failure::new(Kind::Usage, "there is no statement to run").hint("give one with -e, a file with -f, or stdin"));
    }
    if !write {
        statements.iter().try_for_each(|statement| refuse_writing(statement, quoting))?;
    }
    Ok(statements)
}

/// Whether a statement may run without `--write` (safety G4).
///
/// # Errors
/// The refusal; it quotes the statement.
pub fn refuse_writing(statement: &Statement, quoting: Quoting) -> Result<(), Failure> {
    only_reads(&statement.text, quoting).map_err(|unfit| {
        let short: String = statement.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let quoted: String = if short.chars().count() > 60 { short.chars().take(59).chain(['…']).collect() } else { short };
        Failure::new(Kind::Refused, format!("not without --write: {quoted} ({unfit})"))
            .hint("allowed are SELECT, SHOW, EXPLAIN, DESCRIBE, WITH … SELECT, USE and SET @x; nothing was run")
    })
}

/// The one server to ask; [`On::All`] has none.
///
/// # Errors
/// Why there is none: refused if several would do and differ, not observed if a needed answer is missing.
pub fn choose(seen: &Snapshot, on: &On, write: bool) -> Result<Choice, Failure> {
    let choice = match on {
        On::Primary | On::All => primary(seen)?,
        On::Replica => replica(seen)?,
        On::Pod(name) => named(seen, name, write)?,
    };
    let server = seen.members[&choice.ordinal].server.known();
    if write && server.is_ok_and(|server| server.read_only) {
        let pod = seen.pod_name(choice.ordinal);
        return Err(Failure::new(
            Kind::Refused,
            format!("{pod} is read-only (read_only is ON): it is not meant to take writes now"),
        )
        .hint("see why with `kubectl mariadb status`"));
    }
    Ok(choice)
}

fn named(seen: &Snapshot, name: &str, write: bool) -> Result<Choice, Failure> {
    let set = &seen.target.name;
    let ordinal = Ordinal::of_pod(set, name).filter(|ordinal| seen.members.contains_key(ordinal));
    let Some(ordinal) = ordinal else {
        let pods: Vec<String> = seen.members.keys().map(|ordinal| seen.pod_name(*ordinal)).collect();
        return Err(Failure::new(Kind::NotFound, format!("StatefulSet {set} has no pod {name}"))
            .hint(format!("its pods: {}", pods.join(", "))));
    };
    match seen.members[&ordinal].server.known() {
        Ok(_) | Err(Why::NotAsked) => {}
        Err(why) => return Err(unseen(format!("{name} cannot be asked: {why}"), why)),
    }
    if write {
        writable(seen, ordinal)?;
    }
    Ok(Choice { ordinal, role: Role::Named })
}

/// Whether a named pod may take a write: it is the primary, or a Synced member of the one primary component.
fn writable(seen: &Snapshot, ordinal: Ordinal) -> Result<(), Failure> {
    let best = primary(seen)?;
    let pod = seen.pod_name(ordinal);
    match best.role {
        Role::Synced if synced(seen).contains(&ordinal) => Ok(()),
        Role::Synced => {
            Err(Failure::new(Kind::Refused, format!("{pod} is no Synced member of the primary component: it takes no writes"))
                .hint(format!("{} is one: leave --on away, or name it", seen.pod_name(best.ordinal))))
        }
        _ if best.ordinal == ordinal => Ok(()),
        _ => {
            let primary = seen.pod_name(best.ordinal);
            let message = format!("{pod} is not the primary, {primary} is: what is written on {pod} is missing everywhere else");
            Err(Failure::new(Kind::Refused, message).hint("leave --on away: the primary takes the write"))
        }
    }
}

fn primary(seen: &Snapshot) -> Result<Choice, Failure> {
    let found = |ordinal: Ordinal, role: Role| Choice { ordinal, role };
    match Topology::of(seen) {
        Topology::Galera => galera(seen).map(|ordinal| found(ordinal, Role::Synced)),
        Topology::Single => match answers(seen).next() {
            Some((ordinal, _)) => Ok(found(ordinal, Role::Single)),
            None => Err(silence(seen)),
        },
        Topology::Replication { primary: Primary::Pod(ordinal) } => {
            let writers: Vec<Ordinal> = writers(seen).filter(|writer| *writer != ordinal).collect();
            match seen.members[&ordinal].server.known() {
                _ if !writers.is_empty() => Err(several(seen, writers.into_iter().chain([ordinal]))),
                Ok(_) => Ok(found(ordinal, Role::Primary)),
                Err(why) => Err(unseen(format!("the primary {} cannot be asked: {why}", seen.pod_name(ordinal)), why)),
            }
        }
        Topology::Replication { primary: Primary::Outside { host, .. } } => {
            Err(Failure::new(Kind::Other, format!("the primary is {host}, which is no pod of {}", seen.target.name))
                .hint(ELSEWHERE))
        }
        Topology::Replication { primary: Primary::Several(pods) } => Err(several(seen, pods)),
        Topology::Independent => Err(several(seen, answers(seen).map(|(ordinal, _)| ordinal))),
        Topology::Replication { primary: Primary::Unclear } | Topology::Unknown { .. } => Err(silence(seen)),
    }
}

const ELSEWHERE: &str = "choose a server with --on POD or --on replica, or ask every server with --on all";

fn answers(seen: &Snapshot) -> impl Iterator<Item = (Ordinal, &Server)> {
    seen.members.iter().filter_map(|(ordinal, member)| Some((*ordinal, member.server.known().ok()?)))
}

/// Servers that take writes and follow no pod of the set.
fn writers(seen: &Snapshot) -> impl Iterator<Item = Ordinal> {
    let follows = |channel: &Channel| matches!(source_of(seen, channel), Source::Pod(_));
    answers(seen).filter(move |(_, server)| !server.read_only && !server.channels.iter().any(follows)).map(|(ordinal, _)| ordinal)
}

/// Members that answered, are Synced and in a primary component.
fn synced(seen: &Snapshot) -> Vec<Ordinal> {
    let is_synced = |ordinal: &Ordinal| {
        let server = seen.members[ordinal].server.known().ok();
        server.and_then(|server| server.galera.as_ref()).is_some_and(|galera| galera.status.local_state == LocalState::Synced)
    };
    Groups::of(seen).primaries().flat_map(|component| component.ordinals.iter().copied()).filter(is_synced).collect()
}

fn galera(seen: &Snapshot) -> Result<Ordinal, Failure> {
    let groups = Groups::of(seen);
    let split = groups.split_brain();
    if !split.is_empty() {
        let halves: Vec<String> = split.iter().map(|half| names(seen, half.ordinals.iter().copied())).collect();
        let message = format!("split brain: {} are primary components at once, with different data", halves.join(" and "));
        return Err(Failure::new(Kind::Refused, message).hint("choose a server with --on POD, or ask every server with --on all"));
    }
    let members = synced(seen);
    match members.first() {
        Some(first) => Ok(*first),
        None if answers(seen).count() < seen.members.len() => Err(silence(seen)),
        None => Err(Failure::new(Kind::Other, "no member is Synced in a primary component: the cluster serves no data now")
            .hint("see why with `kubectl mariadb status`; a member that answers can be asked with --on POD")),
    }
}

fn replica(seen: &Snapshot) -> Result<Choice, Failure> {
    match Topology::of(seen) {
        Topology::Galera => {
            return Err(Failure::new(Kind::Other, "a Galera cluster has no replicas: every Synced member has the same data")
                .hint("leave --on away, or name a pod"));
        }
        Topology::Single => {
            return Err(Failure::new(Kind::Other, format!("{} is a single server: there is no replica", seen.target.name)));
        }
        Topology::Replication { .. } | Topology::Independent | Topology::Unknown { .. } => {}
    }
    let runs = |channel: &Channel| channel.io == IoThread::Yes && channel.sql_running;
    let lag = |server: &Server| server.channels.iter().map(|channel| channel.lag_seconds.unwrap_or(u64::MAX)).max();
    let healthy = answers(seen).filter(|(_, server)| !server.channels.is_empty() && server.channels.iter().all(runs));
    match healthy.min_by_key(|(ordinal, server)| (lag(server), *ordinal)) {
        Some((ordinal, _)) => Ok(Choice { ordinal, role: Role::Replica }),
        None if answers(seen).count() < seen.members.len() => Err(silence(seen)),
        None => Err(Failure::new(Kind::Other, "no server is a replica whose threads run")
            .hint("see why with `kubectl mariadb status`; any server can be asked with --on POD")),
    }
}

/// More than one server could be meant, and their data may differ.
fn several(seen: &Snapshot, pods: impl IntoIterator<Item = Ordinal>) -> Failure {
    let pods: std::collections::BTreeSet<Ordinal> = pods.into_iter().collect();
    let message = format!("there is no one primary: {} each could be, and their data may differ", names(seen, pods));
    Failure::new(Kind::Refused, message).hint(ELSEWHERE)
}

/// Answers are missing without which nobody can tell.
fn silence(seen: &Snapshot) -> Failure {
    let silent = seen.members.iter().find_map(|(ordinal, member)| Some((*ordinal, member.server.known().err()?)));
    match silent {
        Some((ordinal, why)) => {
            unseen(format!("no server can be chosen: {} cannot be asked: {why}", seen.pod_name(ordinal)), why)
        }
        None if seen.members.is_empty() => {
            Failure::new(Kind::Other, format!("{} is scaled to 0: there is no server to ask", seen.target.name))
        }
        None => Failure::new(Kind::Unobserved, "the servers' answers do not tell which of them is the primary").hint(ELSEWHERE),
    }
}

fn unseen(message: String, why: &Why) -> Failure {
    match why {
        Why::Forbidden(right) => Failure::new(Kind::Forbidden, message).hint(format!("you need the right to {right}")),
        _ => Failure::new(Kind::Unobserved, message)
            .hint("see `kubectl mariadb status`; another server can be asked with --on POD"),
    }
}

fn names(seen: &Snapshot, pods: impl IntoIterator<Item = Ordinal>) -> String {
    pods.into_iter().map(|ordinal| seen.pod_name(ordinal)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use crate::model::testing::{healthy_galera, healthy_replication, server_of, silence, single, snapshot, split_brain};

    fn chosen(seen: &Snapshot, on: &On, write: bool) -> Result<(u32, Role), (Exit, String)> {
        choose(seen, on, write).map(|choice| (choice.ordinal.0, choice.role)).map_err(|failure| (failure.exit(), failure.message))
    }

    fn pod(ordinal: u32) -> On {
        On::Pod(format!("db-{ordinal}"))
    }

    #[test]
    fn one_statement_that_may_not_run_stops_all() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let run = |list: &[&str], write| guarded(&texts(list), Quoting::default(), write);
        let statements = run(&["select 1; select 2", "\n\nselect 3"], false).unwrap();
        let told: Vec<_> = statements.iter().map(|statement| (statement.text.as_str(), statement.line)).collect();
        assert_eq!(told, [("select 1", 1), ("select 2", 1), ("select 3", 3)]);
        let refusal = run(&["select 1;\ndrop\n  table t"], false).unwrap_err();
        assert_eq!(refusal.exit(), Exit::Refused);
        assert_eq!(refusal.message, "not without --write: drop table t (DROP may change something)");
        assert_eq!(run(&["drop table t"], true).unwrap().len(), 1);
        for text in ["", " -- nothing", "select 'open", "\\! ls"] {
            assert_eq!(run(&[text], true).unwrap_err().exit(), Exit::Usage, "{text}");
        }
        assert_eq!(
            run(&["select 1;\n\nselect 'open"], true).unwrap_err().message,
            "line 3: a quote or a comment that begins here or later does not end"
        );
    }

    #[test]
    fn healthy_clusters_have_a_server_for_everything() {
        assert_eq!(chosen(&healthy_galera(), &On::Primary, true), Ok((0, Role::Synced)));
        assert_eq!(chosen(&healthy_galera(), &pod(2), true), Ok((2, Role::Named)));
        assert_eq!(chosen(&healthy_replication(), &On::Primary, true), Ok((0, Role::Primary)));
        assert_eq!(chosen(&healthy_replication(), &On::Replica, false), Ok((1, Role::Replica)));
        assert_eq!(chosen(&healthy_replication(), &pod(1), false), Ok((1, Role::Named)));
        assert_eq!(chosen(&single(), &On::Primary, true), Ok((0, Role::Single)));
    }

    #[test]
    fn a_write_goes_to_the_primary_only() {
        let refused = |seen: &Snapshot, on: &On| chosen(seen, on, true).unwrap_err();
        let (exit, message) = refused(&healthy_replication(), &pod(1));
        assert_eq!(exit, Exit::Refused);
        assert!(message.starts_with("db-1 is not the primary, db-0 is"), "{message}");
        let mut closed = healthy_replication();
        server_of(&mut closed, 0).read_only = true;
        assert!(refused(&closed, &On::Primary).1.starts_with("db-0 is read-only"));
        assert_eq!(chosen(&closed, &On::Primary, false), Ok((0, Role::Primary)));
        for on in [On::All, On::Replica] {
            assert_eq!(may_write(&on).unwrap_err().exit(), Exit::Refused);
        }
        assert!(may_write(&On::Primary).is_ok() && may_write(&pod(1)).is_ok());
        let mut desynced = healthy_galera();
        server_of(&mut desynced, 1).galera.as_mut().unwrap().status.local_state = LocalState::DonorDesynced;
        assert!(refused(&desynced, &pod(1)).1.contains("no Synced member"));
        assert_eq!(chosen(&desynced, &pod(1), false), Ok((1, Role::Named)));
    }

    #[test]
    fn where_several_servers_could_be_meant_none_is_taken() {
        let (exit, message) = chosen(&split_brain(), &On::Primary, false).unwrap_err();
        assert_eq!(exit, Exit::Refused);
        assert!(message.starts_with("split brain: "), "{message}");
        let mut old_primary_back = healthy_replication();
        server_of(&mut old_primary_back, 1).channels.clear();
        server_of(&mut old_primary_back, 1).read_only = false;
        let (exit, message) = chosen(&old_primary_back, &On::Primary, false).unwrap_err();
        assert_eq!((exit, message.contains("db-0, db-1 each could be")), (Exit::Refused, true), "{message}");
    }

    #[test]
    fn what_cannot_be_asked_is_no_answer() {
        let mut seen = healthy_replication();
        silence(&mut seen, 0);
        for on in [On::Primary, pod(0)] {
            assert_eq!(chosen(&seen, &on, false).unwrap_err().0, Exit::Unobserved, "{on:?}");
        }
        assert_eq!(chosen(&seen, &On::Replica, false), Ok((1, Role::Replica)));
        silence(&mut seen, 1);
        silence(&mut seen, 2);
        assert_eq!(chosen(&seen, &On::Replica, false).unwrap_err().0, Exit::Unobserved);
        let mut galera = healthy_galera();
        silence(&mut galera, 0);
        assert_eq!(chosen(&galera, &On::Primary, true), Ok((1, Role::Synced)));
        assert_eq!(chosen(&snapshot([]), &On::Primary, false).unwrap_err().0, Exit::Failed);
    }

    #[test]
    fn replicas_must_run_and_exist() {
        let mut seen = healthy_replication();
        for replica in [1, 2] {
            server_of(&mut seen, replica).channels[0].sql_running = false;
        }
        assert_eq!(chosen(&seen, &On::Replica, false).unwrap_err().0, Exit::Failed);
        for seen in [healthy_galera(), single()] {
            assert_eq!(chosen(&seen, &On::Replica, false).unwrap_err().0, Exit::Failed);
        }
        let (exit, message) = chosen(&healthy_galera(), &On::Pod("db-7".to_owned()), false).unwrap_err();
        assert_eq!((exit, message.as_str()), (Exit::Failed, "StatefulSet db has no pod db-7"));
    }
}
