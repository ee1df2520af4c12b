//! Quorum arithmetic of Galera.
