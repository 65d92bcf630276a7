//! To be written.

pub mod sample;
pub mod wal;
