//! An exec into a pod of the model world: the loader, the script it is given, and how it may end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::server::Answer;
use super::super::streams::Exec;
use super::{Asked, ExecState, Member, Pod, Shared, World, client, sample};

impl Shared {
    pub(super) fn exec(&self, world: &World, asked: &Asked) -> Answer {
        let pod = asked.name.clone().unwrap_or_default();
        let place =
            world.clusters.iter().filter(|cluster| Some(&cluster.namespace) == asked.namespace.as_ref()).find_map(|cluster| {
                let ordinal = cluster.members.keys().find(|ordinal| cluster.pod(**ordinal) == pod)?;
                Some((cluster.name.clone(), *ordinal, &cluster.members[ordinal]))
            });
        match place {
            Some((_, _, Member { pod: Pod::Absent, .. })) | None => Answer::error(404, format!("pods \"{pod}\" not found")),
            Some((_, _, member)) if !matches!(member.pod, Pod::Running { .. }) || member.exec == ExecState::Missing => {
                Answer::exec(|exec| exec.fail("unable to upgrade connection: container not found (\"mariadb\")"))
            }
            Some((cluster, ordinal, member)) => {
                let (world, state) = (self.clone(), member.exec);
                Answer::exec(move |exec| world.run(exec, cluster, ordinal, state))
            }
        }
    }

    /// Behaves as the loader and the script it was given.
    pub(super) async fn run(self, mut exec: Exec, cluster: String, ordinal: u32, state: ExecState) {
        let mut script = Vec::new();
        while let Some(line) = exec.line().await {
            if line == "--go" {
                break;
            }
            script.push(line);
        }
        let given = script.iter().find_map(|line| line.strip_prefix("given='")?.strip_suffix('\'')).unwrap_or_default();
        let sample = || {
            self.0.samples.fetch_add(1, Ordering::SeqCst);
            sample::of(self.peek().cluster(&cluster), ordinal, given)
        };
        match state {
            ExecState::Answers | ExecState::Missing => {}
            ExecState::Hangs => return exec.silence().await,
            ExecState::Late(delay) => tokio::time::sleep(delay).await,
            ExecState::Breaks | ExecState::EndsWithoutStatus => {
                let whole = sample();
                exec.stdout(&whole[..whole.len() / 2]).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                return if state == ExecState::Breaks { exec.reset() } else { exec.close().await };
            }
        }
        if client::is_started_by(&script) {
            return client::run(self, exec, cluster, ordinal, script).await;
        }
        if script.last().is_some_and(|line| line == "follows") {
            return self.tell_source(exec, cluster, ordinal, &script).await;
        }
        if script.iter().any(|line| line.contains("mariadb-backup")) {
            return self.donate(exec, cluster, ordinal, script).await;
        }
        if script.iter().any(|line| line.contains("mariadb-upgrade")) {
            self.lock().cluster(&cluster).convert_tables(ordinal);
            exec.stdout("kubectl-mariadb: done\n").await;
            return exec.exit(0).await;
        }
        if script.iter().any(|line| line.contains("safe_to_bootstrap")) && script.iter().any(|line| line.starts_with("done=")) {
            self.lock().cluster(&cluster).as_galera().mark_unsafe(ordinal);
            exec.stdout("kubectl-mariadb: done\n").await;
            return exec.exit(0).await;
        }
        if script.last().is_some_and(|line| line == "sample") {
            let text = sample();
            exec.stdout(text).await;
            return exec.exit(0).await;
        }
        let (mut changed, cuts) = (self.changes(), self.peek().cuts);
        loop {
            tokio::select! {
                line = exec.line() => {
                    let state = self.peek().clusters.iter().find(|one| one.name == cluster).map(|one| one.members[&ordinal].exec);
                    match state.filter(|_| line.is_some()) {
                        None => return exec.exit(0).await,
                        Some(ExecState::Hangs) => return exec.silence().await,
                        Some(_) => {}
                    }
                    let text = sample();
                    exec.stdout(text).await;
                }
                _ = changed.changed() => {
                    if self.peek().cuts != cuts {
                        return exec.reset();
                    }
                }
            }
        }
    }
}
