//! The commands that are more than one call of the library.

pub mod bench;
mod cargo;
pub mod demo;
pub mod shell;
pub mod test;
