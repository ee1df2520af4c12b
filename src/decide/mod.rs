//! What it means and what to do. Pure, like `model/`.

pub mod finding;
pub mod rules;

pub use rules::{catalog, catalog_markdown, explain};

#[cfg(test)]
mod files_tests;
