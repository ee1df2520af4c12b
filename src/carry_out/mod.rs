//! What changes something in the cluster, one step at a time: shown, asked, done, read back.

pub mod act;
mod follow;
pub mod grastate;
pub mod helper;
mod in_pod;
pub mod journal;
pub mod operation;
pub mod prepare;
mod seed;
mod server;
mod unflag;
pub mod volumes;

/// How far a writing command may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only say what would be done.
    Plan,
    /// The same, and ask the API server whether it would accept it.
    Prove,
    /// Do it, once it is agreed to.
    Do,
}

/// What the user says to a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    Declined,
    /// No `--yes`, and no terminal to ask at.
    NobodyToAsk,
}
