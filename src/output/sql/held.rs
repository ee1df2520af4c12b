//! Answers that are kept, to be compared.

use super::side::Answer;
use crate::api::sql::client::Done;
use crate::model::sql::compare::{Set, Value};

/// Rows and bytes of all answers of one server; more cannot be compared in memory.
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;

#[derive(Clone, Debug, Default)]
pub struct Held {
    pub answers: Vec<Answer>,
    set: Option<Set>,
    rows: usize,
    bytes: usize,
}

impl Held {
    /// A sentence, once there is too much of it.
    #[must_use]
    pub fn too_much(&self) -> Option<String> {
        (self.rows > MAX_ROWS || self.bytes > MAX_BYTES)
            .then(|| format!("the result has more than {MAX_ROWS} rows or {} MiB", MAX_BYTES >> 20))
    }

    pub(super) fn statement(&mut self) {
        self.answers.push(Answer::default());
    }

    pub(super) fn columns(&mut self, columns: Vec<String>) {
        self.set = Some(Set { columns: Some(columns), rows: Vec::new() });
    }

    pub(super) fn row(&mut self, row: Vec<Value>) {
        self.rows += 1;
        self.bytes += row.iter().flatten().map(String::len).sum::<usize>();
        self.set.get_or_insert_default().rows.push(row);
    }

    pub(super) fn end_of_set(&mut self) {
        let set = self.set.take().unwrap_or_default();
        if let Some(answer) = self.answers.last_mut() {
            answer.sets.push(set);
        }
    }

    pub(super) fn done(&mut self, done: &Done) {
        if let Some(answer) = self.answers.last_mut() {
            answer.done = done.clone();
        }
    }
}
