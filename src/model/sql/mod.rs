//! SQL as text: where statements end, and which of them only read. Nothing here knows what a statement means.

pub mod compare;
pub mod guard;
pub mod piece;
pub mod shell;
pub mod split;

pub use guard::{Unfit, only_reads};
pub use piece::Quoting;
pub use split::{Problem, Split, Statement, split};
