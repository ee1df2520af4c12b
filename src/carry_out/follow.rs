//! Whom servers replicate from, when another one becomes the primary of a plain set.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::api::script;
use crate::api::writes::{Denied, Resource, patch};
use crate::api::{Api, Password, PodRef};
use crate::decide::operation::handover::POD_LABEL;
use crate::model::names::Ordinal;
use crate::model::replica::Channel;
use crate::model::snapshot::Snapshot;

use super::act::Hands;
use super::in_pod::{self, DONE, run};
use super::server::told;

/// `follows` says what a server replicates from.
pub(super) const FOLLOW: &str = include_str!("follow.sh");
/// A few lines of a file.
pub(super) const FOLLOWS: Duration = Duration::from_secs(20);
/// In texts `\` is what it is by default; passwords take no other form than a text.
const PLAIN: &str = "SET SESSION sql_mode = ''";
/// What a primary has written or applied last becomes what it has replicated last.
const FROM_HERE: &str = "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos";

/// What a server replicates from, with the password: never shown, never logged.
pub(super) struct Follows(Vec<u8>);

impl Follows {
    pub(super) fn file(&self) -> &[u8] {
        &self.0
    }

    /// The statement by which another server replicates with the same account from `host`.
    fn statement(&self, host: &str, port: u16) -> Option<String> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let line = |index: usize| lines.get(index).copied().filter(|line| !line.is_empty());
        let number = |index| line(index).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
        let mut options = vec![
            format!("MASTER_HOST={}", literal(host)),
            format!("MASTER_PORT={port}"),
            format!("MASTER_USER={}", literal(line(4)?)),
            format!("MASTER_PASSWORD={}", literal(lines.get(5)?)),
        ];
        // The places are those of `flush_master_info` in sql/rpl_mi.cc; seen on 10.11.
        let numbers = [("MASTER_CONNECT_RETRY", 7), ("MASTER_SSL", 8), ("MASTER_SSL_VERIFY_SERVER_CERT", 14)];
        options.extend(numbers.iter().filter_map(|(name, index)| Some(format!("{name}={}", number(*index)?))));
        let files = [("CA", 9), ("CAPATH", 10), ("CERT", 11), ("CIPHER", 12), ("KEY", 13)];
        options.extend(files.iter().filter_map(|(name, index)| Some(format!("MASTER_SSL_{name}={}", literal(line(*index)?)))));
        options.push("MASTER_USE_GTID=slave_pos".to_owned());
        Some(format!("CHANGE MASTER TO {}", options.join(", ")))
    }
}

/// After [`PLAIN`].
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// Runs `script`, whose last function is `follows`, beside a server.
pub(super) async fn follows(api: &Api, pod: &PodRef, script: &str) -> Result<Follows, Denied> {
    let told = run(api, pod, script.as_bytes(), FOLLOWS).await;
    let stdout = told.map_err(|broken| Denied::Refused(broken.why(&pod.name).to_string()))?;
    let end = format!("\n{DONE}\n");
    let file = stdout.strip_suffix(end.as_bytes()).filter(|file| !file.is_empty());
    let file = file.ok_or_else(|| Denied::Lost(format!("{} did not tell what it replicates from", pod.name)))?;
    Ok(Follows(file.to_vec()))
}

impl Hands<'_> {
    /// Has each of `ordinals` replicate from `source`, all at once.
    pub(super) async fn follow(
        &self,
        seen: &Snapshot,
        ordinals: &[Ordinal],
        source: Ordinal,
        instead: Ordinal,
    ) -> Result<(), Denied> {
        let ways = ordinals.iter().map(|ordinal| self.follow_one(seen, *ordinal, source, instead));
        try_join_all(ways).await.map(drop)
    }

    async fn follow_one(&self, seen: &Snapshot, ordinal: Ordinal, source: Ordinal, instead: Ordinal) -> Result<(), Denied> {
        let pod = self.pod(&seen.objects.stateful_set, ordinal);
        if let Some(channel) = channel(seen, ordinal) {
            let host = renamed(seen, channel, source, instead)?;
            let change = format!("CHANGE MASTER TO MASTER_HOST={}, MASTER_USE_GTID=slave_pos", literal(&host));
            return told(self.api, &pod, &[PLAIN, "STOP SLAVE", &change, "START SLAVE"]).await;
        }
        // The source itself, or another replica where somebody has promoted the source already.
        let others = seen.expected().map(|(other, _)| other).filter(|other| *other != source && *other != ordinal);
        let models = std::iter::once(source).chain(others);
        let model = models.into_iter().find_map(|other| Some((other, channel(seen, other)?)));
        let (like, model) = model.ok_or_else(|| {
            Denied::Refused(format!(
                "nobody replicates any more, so how {} could is not known; `operation abort` ends without it",
                pod.name
            ))
        })?;
        let host = renamed(seen, model, source, instead)?;
        let known = self.followed(seen, like).await?;
        let change = known.statement(&host, model.source_port);
        let change = change.ok_or_else(|| unreadable(&seen.pod_name(like)))?;
        let said = told(self.api, &pod, &[PLAIN, FROM_HERE, &change, "START SLAVE"]).await;
        // An error may quote the statement, and the password with it.
        said.map_err(|denied| match denied {
            Denied::Refused(words) => {
                let code = words.split(' ').next().unwrap_or_default();
                Denied::Refused(format!("the server of {} does not take the change (error {code})", pod.name))
            }
            other => other,
        })
    }

    /// Whether the server of `ordinal` tells how to replicate as it does: asked before anybody waits for it.
    pub(super) async fn can_hand_on(&self, seen: &Snapshot, ordinal: Ordinal) -> Result<(), Denied> {
        let known = self.followed(seen, ordinal).await?;
        known.statement("", 0).map(drop).ok_or_else(|| unreadable(&seen.pod_name(ordinal)))
    }

    async fn followed(&self, seen: &Snapshot, ordinal: Ordinal) -> Result<Follows, Denied> {
        let pod = self.pod(&seen.objects.stateful_set, ordinal);
        let files = seen.members.get(&ordinal).and_then(|member| member.files.known().ok());
        let datadir = files.map(|disk| disk.datadir.as_str());
        let datadir = datadir.ok_or_else(|| Denied::Lost(format!("the data directory of {} is not known now", pod.name)))?;
        let given = self.api.password().map(Password::reveal).unwrap_or_default();
        let mut script = in_pod::settings(&[("given", given), ("given_user", ""), ("home", datadir)]);
        script::append(&mut script, script::CLIENT);
        script::append(&mut script, FOLLOW);
        script.push_str("follows\n--go\n");
        follows(self.api, &pod, &script).await
    }

    /// Has each of `services` select the pod of another ordinal, if it selects that of `from` now (safety E4, F2).
    pub(super) async fn lead(
        &self,
        seen: &Snapshot,
        services: &[String],
        from: Ordinal,
        to: Ordinal,
        dry_run: bool,
    ) -> Result<(), Denied> {
        let path = format!("/spec/selector/{}", POD_LABEL.replace('/', "~1"));
        let change = |op: &str, ordinal| json!({"op": op, "path": path, "value": seen.pod_name(ordinal)});
        let changes = Value::Array(vec![change("test", from), change("replace", to)]);
        for service in services {
            patch(self.api, Resource::Services, &seen.target.namespace, service, &changes, dry_run).await?;
        }
        Ok(())
    }
}

fn unreadable(pod: &str) -> Denied {
    Denied::Refused(format!("master.info of {pod} cannot be read"))
}

fn channel(seen: &Snapshot, ordinal: Ordinal) -> Option<&Channel> {
    seen.members.get(&ordinal)?.server.known().ok()?.channels.first()
}

/// The name of `source` as `channel` names that of the primary before it.
fn renamed(seen: &Snapshot, channel: &Channel, source: Ordinal, instead: Ordinal) -> Result<String, Denied> {
    let (new, host) = (seen.pod_name(source), &channel.source_host);
    let is_of = |pod: &str| host.strip_prefix(pod).filter(|rest| rest.is_empty() || rest.starts_with('.'));
    match is_of(&seen.pod_name(instead)).or_else(|| is_of(&new)) {
        Some(rest) => Ok(format!("{new}{rest}")),
        None => Err(Denied::Refused(format!("{host} is not the name of a pod of the set"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "33\nmysql-bin.000002\n344\ndb-1.db\nrepl\nse'cr\\et\n3306\n2\n1\n/tls/ca.crt\n\n\n\n\n0\n30.000\n\n0\n\n0\n\n\n\n\
                        using_gtid=1\nEND_MARKER\n";

    #[test]
    fn another_server_replicates_with_the_same_account() {
        let known = Follows(FILE.as_bytes().to_vec());
        assert_eq!(
            known.statement("db-0.db", 3307).unwrap(),
            "CHANGE MASTER TO MASTER_HOST='db-0.db', MASTER_PORT=3307, MASTER_USER='repl', MASTER_PASSWORD='se''cr\\\\et', \
             MASTER_CONNECT_RETRY=2, MASTER_SSL=1, MASTER_SSL_VERIFY_SERVER_CERT=0, MASTER_SSL_CA='/tls/ca.crt', \
             MASTER_USE_GTID=slave_pos"
        );
        assert_eq!(Follows(b"33\nlog\n4\nhost\n".to_vec()).statement("db-0", 1), None);
        assert_eq!(Follows(vec![0xff; 9]).statement("db-0", 1), None);
    }
}
