//! What was asked, in rounds.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use super::Request;

/// Every request in order of arrival.
#[derive(Default)]
pub struct Log(Mutex<Vec<Entry>>);

struct Entry {
    line: String,
    asked: Instant,
    answered: Option<Instant>,
}

impl Log {
    /// Notes a request; gives its place.
    pub fn asked(&self, request: &Request) -> usize {
        let mut entries = self.0.lock().unwrap();
        entries.push(Entry { line: line(request), asked: Instant::now(), answered: None });
        entries.len() - 1
    }

    pub fn answered(&self, place: usize) {
        self.0.lock().unwrap()[place].answered = Some(Instant::now());
    }

    /// The requests grouped in rounds: one that was asked before any answer of a round was sent cannot depend on it, so it
    /// belongs to that round. Tells rounds apart only if answers are delayed more than requests are apart.
    pub fn rounds(&self) -> Vec<Vec<String>> {
        let entries = self.0.lock().unwrap();
        let mut rounds: Vec<Vec<String>> = Vec::new();
        let mut first_answer: Option<Instant> = None;
        for entry in entries.iter() {
            let next = rounds.is_empty() || first_answer.is_some_and(|answer| entry.asked >= answer);
            if next {
                rounds.push(Vec::new());
                first_answer = None;
            }
            rounds.last_mut().unwrap().push(entry.line.clone());
            first_answer = [first_answer, entry.answered].into_iter().flatten().min();
        }
        for round in &mut rounds {
            round.sort();
        }
        rounds
    }

    /// For snapshots: no ports, no headers, no secrets.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (number, round) in self.rounds().iter().enumerate() {
            writeln!(text, "round {}", number + 1).unwrap();
            for line in round {
                writeln!(text, "  {line}").unwrap();
            }
        }
        text
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// `GET /path?a=b`, parameters decoded and sorted; what an exec runs in its own order, scripts cut short.
fn line(request: &Request) -> String {
    let mut line = format!("{} {}", request.method, request.path);
    let mut parameters: Vec<String> =
        request.query.iter().filter(|(name, _)| name != "command").map(|(name, value)| format!("{name}={value}")).collect();
    parameters.sort();
    if !parameters.is_empty() {
        write!(line, "?{}", parameters.join("&")).unwrap();
    }
    let argv: Vec<&str> = request.argv().iter().map(|word| short(word)).collect();
    if !argv.is_empty() {
        write!(line, " {argv:?}").unwrap();
    }
    line
}

fn short(word: &str) -> &str {
    if word.len() > 40 || word.contains('\n') { "…" } else { word }
}
