//! Commands to type, as a shell takes them.

use crate::cli::global::Connection;
use crate::decide::finding::NextCommand;
use crate::model::secret_key::SecretKey;

/// The connection flags the user gave, to be given again in every command we print. Never the token.
#[derive(Clone, Debug, Default)]
pub struct OwnFlags {
    flags: Vec<String>,
    namespace: bool,
    /// Only our own commands know this one.
    password_from: Option<String>,
}

impl OwnFlags {
    /// `password_from` is the name of a Secret, no secret. `everywhere`: the command looks at all namespaces, so that each command must name the one it is about.
    #[must_use]
    pub fn new(connection: &Connection, password_from: Option<&SecretKey>, everywhere: bool) -> Self {
        let Connection {
            kubeconfig,
            context,
            cluster,
            user,
            namespace,
            impersonate,
            impersonate_groups,
            impersonate_uid,
            token: _,
            server,
            tls_server_name,
            insecure_skip_tls_verify,
            certificate_authority,
            client_certificate,
            client_key,
            request_timeout: _,
            verbosity: _,
            log: _,
        } = connection;
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let mut flags = Vec::new();
        let mut give = |flag: &str, value: Option<String>| flags.extend(value.map(|value| [flag.to_owned(), value]));
        give("--kubeconfig", path(kubeconfig));
        give("--context", context.clone());
        give("--cluster", cluster.clone());
        give("--user", user.clone());
        give("--as", impersonate.clone());
        impersonate_groups.iter().for_each(|group| give("--as-group", Some(group.clone())));
        give("--as-uid", impersonate_uid.clone());
        give("--server", server.clone());
        give("--tls-server-name", tls_server_name.clone());
        give("--certificate-authority", path(certificate_authority));
        give("--client-certificate", path(client_certificate));
        give("--client-key", path(client_key));
        let insecure = insecure_skip_tls_verify.map(|skip| format!("--insecure-skip-tls-verify={skip}"));
        let flags = flags.into_iter().flatten().chain(insecure).collect();
        let password_from = password_from.map(ToString::to_string);
        Self { flags, namespace: namespace.is_some() || everywhere, password_from }
    }

    /// A line for the user's shell about a cluster of `namespace`.
    #[must_use]
    pub fn line(&self, command: &NextCommand, namespace: &str) -> String {
        let (mut words, args) = match command {
            NextCommand::Plugin(args) => (vec!["kubectl".to_owned(), "mariadb".to_owned()], args),
            NextCommand::Kubectl(args) => (vec!["kubectl".to_owned()], args),
        };
        // What follows `--` belongs to another program.
        let own = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
        words.extend(args[..own].iter().cloned());
        if is_offline(command) {
            return quoted_line(&words);
        }
        let named = args[..own].iter().any(|arg| arg == "-n" || arg == "--namespace");
        if self.namespace && !named {
            words.extend(["-n".to_owned(), namespace.to_owned()]);
        }
        words.extend(self.flags.iter().cloned());
        if let (NextCommand::Plugin(_), Some(secret)) = (command, &self.password_from) {
            words.extend(["--password-from".to_owned(), secret.clone()]);
        }
        words.extend(args[own..].iter().cloned());
        quoted_line(&words)
    }
}

/// Whether a command talks to no API server, so that connection flags would only be in the way.
fn is_offline(command: &NextCommand) -> bool {
    matches!(command, NextCommand::Plugin(args) if args.first().is_some_and(|verb| verb == "explain"))
}

fn quoted_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(args: &[&str]) -> NextCommand {
        NextCommand::Plugin(args.iter().map(|arg| (*arg).to_owned()).collect())
    }

    #[test]
    fn the_users_flags_are_given_again_and_the_token_is_not() {
        let connection = Connection {
            namespace: Some("shop".to_owned()),
            context: Some("prod eu".to_owned()),
            kubeconfig: Some("/etc/it's".into()),
            token: Some("secret".to_owned()),
            ..Connection::default()
        };
        let secret = "secret/db-root:password".parse().unwrap();
        let flags = OwnFlags::new(&connection, Some(&secret), false);
        assert_eq!(flags.line(&plugin(&["explain", "MDB201"]), "shop"), "kubectl mariadb explain MDB201");
        assert_eq!(
            flags.line(&plugin(&["status", "db"]), "shop"),
            r"kubectl mariadb status db -n shop --kubeconfig '/etc/it'\''s' --context 'prod eu' --password-from secret/db-root:password"
        );
        let logs = ["logs", "db-0"].map(str::to_owned).to_vec();
        assert_eq!(
            flags.line(&NextCommand::Kubectl(logs), "shop"),
            r"kubectl logs db-0 -n shop --kubeconfig '/etc/it'\''s' --context 'prod eu'"
        );
    }

    #[test]
    fn flags_go_before_the_words_of_another_program() {
        let flags = OwnFlags::new(&Connection { context: Some("c".to_owned()), ..Connection::default() }, None, true);
        let exec = ["exec", "db-0", "--", "df", "-h"].map(str::to_owned).to_vec();
        assert_eq!(flags.line(&NextCommand::Kubectl(exec), "shop"), "kubectl exec db-0 -n shop --context c -- df -h");
    }

    #[test]
    fn without_flags_nothing_is_added() {
        let flags = OwnFlags::new(&Connection::default(), None, false);
        assert_eq!(flags.line(&plugin(&["status", "db"]), "shop"), "kubectl mariadb status db");
        assert_eq!(flags.line(&plugin(&["sql", "-e", ""]), "shop"), "kubectl mariadb sql -e ''");
    }
}
