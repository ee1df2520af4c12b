//! What may stand under the cursor of a command line that is being typed.
//!
//! An own walk over the clap command: clap's own parser wants a whole line, and its completer knows only what is fixed.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser, ValueHint};

use super::Request;
use super::global::Connection;

/// One word to offer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub word: String,
    pub meaning: String,
}

impl Candidate {
    pub fn new(word: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { word: word.into(), meaning: meaning.into() }
    }
}

/// Names that only the kubeconfig, the API server or the catalogue of findings knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Contexts,
    KubeconfigClusters,
    KubeconfigUsers,
    Namespaces,
    /// `NAME`, `sts/NAME`, `mariadb/NAME`.
    Clusters,
    /// `POD`, `pod/POD`.
    Pods,
    Nodes,
    /// Codes of findings and exit codes.
    Codes,
}

/// What the word under the cursor may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Words(Vec<Candidate>),
    Names(Names),
    Files,
    /// Free text.
    Nothing,
}

/// A command line up to the cursor, understood.
#[derive(Clone, Debug)]
pub struct Place {
    pub what: What,
    /// What is there of the word already; after `--flag=` only what follows.
    pub begun: String,
    /// The connection flags before it; `None`: they are wrong, and nobody may be asked in their stead.
    pub connection: Option<Connection>,
}

/// The name by which kubectl finds and runs us for `kubectl mariadb …`.
const KUBECTLS_NAME: &str = "kubectl_complete-mariadb";

/// The words to complete, if that is what the program was started for: by kubectl, or by a shell's script as `__complete`.
#[must_use]
pub fn asked(args: &[OsString]) -> Option<Vec<String>> {
    let (program, words) = args.split_first()?;
    let words = match words.first().and_then(|word| word.to_str()) {
        _ if Path::new(program).file_stem().is_some_and(|name| name == KUBECTLS_NAME) => words,
        Some("__complete" | "__completeNoDesc") => &words[1..],
        _ => return None,
    };
    Some(words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Which names an argument takes, by its id.
const NAMES: &[(&str, Names)] = &[
    ("context", Names::Contexts),
    ("cluster", Names::KubeconfigClusters),
    ("user", Names::KubeconfigUsers),
    ("namespace", Names::Namespaces),
    ("target", Names::Clusters),
    ("pod", Names::Pods),
    ("on", Names::Pods),
    ("node", Names::Nodes),
    ("code", Names::Codes),
];

/// Arguments whose values nobody can list.
#[cfg(test)]
const FREE: &[&str] = &[
    "accept_data_loss",
    "current_replicas",
    "database",
    "db_user",
    "execute",
    "image",
    "impersonate",
    "impersonate_groups",
    "impersonate_uid",
    "insecure_skip_tls_verify",
    "partition",
    "password_from",
    "pod_timeout",
    "replicas",
    "request_timeout",
    "selector",
    "server",
    "size",
    "timeout",
    "tls_server_name",
    "token",
    "verbosity",
    "wishes",
    "zone",
];

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct OnlyConnection {
    #[command(flatten)]
    connection: Connection,
}

/// Understands the words after the program's name; the last one is under the cursor.
#[must_use]
pub fn place(words: &[String]) -> Place {
    let mut command = Request::command();
    command.build();
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut walk = Walk { command: &command, waiting: None, flags: Vec::new(), positionals: 0, only_positionals: false };
    before.iter().for_each(|word| walk.step(word));
    let (what, begun) = walk.under_cursor(last);
    Place { what, begun: begun.to_owned(), connection: walk.connection() }
}

/// How far the line has been understood.
struct Walk<'a> {
    command: &'a Command,
    /// A flag whose value is the next word.
    waiting: Option<&'a Arg>,
    /// Flags so far, with their values.
    flags: Vec<(&'a Arg, Option<String>)>,
    positionals: usize,
    /// After `--`.
    only_positionals: bool,
}

impl<'a> Walk<'a> {
    fn step(&mut self, word: &str) {
        if let Some(flag) = self.waiting.take() {
            self.flags.push((flag, Some(word.to_owned())));
        } else if !self.only_positionals && word == "--" {
            self.only_positionals = true;
        } else if let Some(long) = word.strip_prefix("--").filter(|_| !self.only_positionals) {
            self.long(long);
        } else if let Some(shorts) = word.strip_prefix('-').filter(|shorts| !self.only_positionals && !shorts.is_empty()) {
            self.shorts(shorts);
        } else if let Some(verb) = self.verb(word) {
            self.command = verb;
        } else {
            self.positionals += 1;
        }
    }

    fn verb(&self, word: &str) -> Option<&'a Command> {
        if self.positionals > 0 { None } else { self.command.find_subcommand(word) }
    }

    fn long(&mut self, text: &str) {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
        if let Some(flag) = self.flag(name) {
            self.seen(flag, value);
        }
    }

    /// `-A`, `-Al app=db`, `-nshop`, `-n=shop`.
    fn shorts(&mut self, text: &str) {
        for (at, letter) in text.char_indices() {
            let Some(flag) = self.command.get_arguments().find(|arg| arg.get_short() == Some(letter)) else { return };
            if takes_value(flag) {
                let rest = &text[at + letter.len_utf8()..];
                let value = rest.strip_prefix('=').unwrap_or(rest);
                return self.seen(flag, Some(value.to_owned()).filter(|_| !rest.is_empty()));
            }
            self.seen(flag, None);
        }
    }

    fn seen(&mut self, flag: &'a Arg, value: Option<String>) {
        if value.is_none() && takes_value(flag) && !flag.is_require_equals_set() {
            self.waiting = Some(flag);
        } else {
            self.flags.push((flag, value));
        }
    }

    fn flag(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| arg.get_long() == Some(name))
    }

    fn under_cursor<'w>(&self, word: &'w str) -> (What, &'w str) {
        if let Some(flag) = self.waiting {
            return (values(flag), word);
        }
        if word.starts_with('-') && !self.only_positionals {
            return match word.strip_prefix("--").and_then(|long| long.split_once('=')) {
                Some((name, begun)) => (self.flag(name).map_or(What::Nothing, values), begun),
                None => (What::Words(self.flags_left()), word),
            };
        }
        if self.positionals == 0 && self.command.has_subcommands() {
            return (What::Words(verbs(self.command)), word);
        }
        // The last positional may take many values.
        let all: Vec<&Arg> = self.command.get_positionals().collect();
        let many = |arg: &&&Arg| matches!(arg.get_action(), ArgAction::Append);
        let next = all.get(self.positionals).or_else(|| all.last().filter(many));
        (next.map_or(What::Nothing, |arg| values(arg)), word)
    }

    /// Flags that may still be given.
    fn flags_left(&self) -> Vec<Candidate> {
        let once = |arg: &Arg| !matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let given = |arg: &Arg| self.flags.iter().any(|(flag, _)| flag.get_id() == arg.get_id());
        let left = self.command.get_arguments().filter(|arg| !arg.is_hide_set()).filter(|arg| !once(arg) || !given(arg));
        left.filter_map(|arg| Some(Candidate::new(format!("--{}", arg.get_long()?), meaning(arg.get_help())))).collect()
    }

    /// The connection flags among those seen.
    fn connection(&self) -> Option<Connection> {
        let ours = OnlyConnection::command();
        let is_ours = |flag: &Arg| ours.get_arguments().any(|arg| arg.get_id() == flag.get_id());
        let words = self.flags.iter().filter(|(flag, _)| is_ours(flag)).filter_map(|(flag, value)| {
            let long = flag.get_long()?;
            Some(value.as_ref().map_or_else(|| format!("--{long}"), |value| format!("--{long}={value}")))
        });
        let matches = ours.clone().try_get_matches_from(words).ok()?;
        OnlyConnection::from_arg_matches(&matches).ok().map(|parsed| parsed.connection)
    }
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values()
}

fn verbs(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| Candidate::new(verb.get_name(), meaning(verb.get_about()))).collect()
}

fn values(arg: &Arg) -> What {
    let possible: Vec<Candidate> = (arg.get_possible_values().iter())
        .filter(|value| !value.is_hide_set())
        .map(|value| Candidate::new(value.get_name(), meaning(value.get_help())))
        .collect();
    if !possible.is_empty() {
        return What::Words(possible);
    }
    if !matches!(arg.get_value_hint(), ValueHint::Unknown | ValueHint::Other) {
        return What::Files;
    }
    NAMES.iter().find(|(id, _)| arg.get_id() == id).map_or(What::Nothing, |(_, names)| What::Names(*names))
}

fn meaning(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Place {
        place(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn words(line: &str) -> Vec<String> {
        match at(line).what {
            What::Words(words) => words.into_iter().map(|candidate| candidate.word).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_first_word_is_a_verb() {
        assert!(words("").contains(&"status".to_owned()));
        assert!(words("-n shop ").contains(&"status".to_owned()));
        assert!(!words("").contains(&"__complete".to_owned()));
        assert_eq!(at("").what, place(&[]).what);
    }

    #[test]
    fn it_is_asked_by_name_or_by_the_first_word() {
        let asked = |line: &str| asked(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked("/home/me/bin/kubectl_complete-mariadb status "), Some(vec!["status".to_owned(), String::new()]));
        assert_eq!(asked("kubectl_complete-mariadb.exe"), Some(Vec::new()));
        assert_eq!(asked("kubectl-mariadb __complete sta"), Some(vec!["sta".to_owned()]));
        assert_eq!(asked("kubectl-mariadb status __complete"), None);
    }

    #[test]
    fn positionals_are_names() {
        for line in ["status ", "status d", "status -n shop ", "status -o json d", "-n shop status --no-exec ", "status -- "] {
            assert_eq!(at(line).what, What::Names(Names::Clusters), "{line}");
        }
        assert_eq!(at("explain M").what, What::Names(Names::Codes));
        assert_eq!(at("status d").begun, "d");
        assert_eq!(at("status db ").what, What::Nothing);
        assert_eq!(at("no-such-verb ").what, What::Nothing);
    }

    #[test]
    fn values_of_flags_are_known_in_every_form() {
        for line in ["status -n ", "-n ", "status --namespace ", "status --namespace=sh", "status -A -n "] {
            assert_eq!(at(line).what, What::Names(Names::Namespaces), "{line}");
        }
        assert_eq!(at("status --namespace=sh").begun, "sh");
        assert_eq!(at("--context ").what, What::Names(Names::Contexts));
        assert_eq!(at("--kubeconfig ").what, What::Files);
        assert_eq!(at("--token ").what, What::Nothing);
        assert_eq!(words("status -o "), ["table", "wide", "json", "yaml", "jsonl", "name"]);
        assert_eq!(words("status --fail-on="), ["info", "warning", "error", "never"]);
        // Its value never is a word of its own.
        assert_eq!(at("status --insecure-skip-tls-verify ").what, What::Names(Names::Clusters));
    }

    #[test]
    fn flags_are_offered_once() {
        let left = words("status --no-exec -n shop --as-group a -");
        assert!(left.contains(&"--selector".to_owned()) && left.contains(&"--as-group".to_owned()));
        assert!(!left.contains(&"--no-exec".to_owned()) && !left.contains(&"--namespace".to_owned()));
    }

    #[test]
    fn connection_flags_before_the_cursor_are_obeyed() {
        let read = at("-n shop status --context=prod --kubeconfig /k -Al app=db --as-group a --as-group b ");
        let Connection { namespace, context, kubeconfig, impersonate_groups, .. } = read.connection.unwrap();
        assert_eq!((namespace.as_deref(), context.as_deref()), (Some("shop"), Some("prod")));
        assert_eq!(kubeconfig.as_deref(), Some(std::path::Path::new("/k")));
        assert_eq!(impersonate_groups, ["a", "b"]);
        for line in ["status -nshop ", "status -n=shop "] {
            assert_eq!(at(line).connection.unwrap().namespace.as_deref(), Some("shop"), "{line}");
        }
        assert!(at("status --request-timeout soon ").connection.is_none());
    }

    /// A new argument says here what can be offered for it: an entry in `NAMES`, or in `FREE`.
    #[test]
    fn every_argument_is_accounted_for() {
        let mut command = Request::command();
        command.build();
        let mut left = vec![&command];
        while let Some(command) = left.pop() {
            left.extend(command.get_subcommands());
            for arg in command.get_arguments().filter(|arg| takes_value(arg) && !arg.is_hide_set()) {
                let known = values(arg) != What::Nothing || FREE.iter().any(|id| arg.get_id() == id);
                assert!(known, "completion does not know what {} of {} takes", arg.get_id(), command.get_name());
            }
        }
    }
}
