//! What it means and what to do. Pure, like `model/`.

pub mod finding;
