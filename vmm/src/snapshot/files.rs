//! The names of the files in a snapshot's directory.

/// The description of the snapshot, its requirements, and the other files' checksums.
pub(crate) const MACHINE: &str = "machine.json";
/// The state of vCPUs and devices.
pub(crate) const STATE: &str = "state.json";
/// The guest's memory.
pub(crate) const MEMORY: &str = "memory";
