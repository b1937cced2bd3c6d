//! The names of the files in a snapshot's directory.

/// What it is of, what it needs, and the checksums of the others.
pub(crate) const MACHINE: &str = "machine.json";
/// The state of vCPUs and devices.
pub(crate) const STATE: &str = "state.json";
/// The guest's memory.
pub(crate) const MEMORY: &str = "memory";
