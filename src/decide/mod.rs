//! What it means and what to do. Pure, like `model/`.

pub mod can_stop;
pub mod election;
mod exit;
pub mod finding;
pub mod helper;
pub mod operation;
pub mod recover;
pub mod rules;
pub mod settled;
pub mod sql;
pub mod verdict;
pub mod versions;
pub mod volumes;
pub mod wish;

pub use exit::{Gap, Unobserved, exit, unobserved};
pub use rules::{catalog, catalog_markdown, explain};
pub use verdict::{State, Verdict, verdict};

#[cfg(test)]
mod files_tests;
