//! The entries that `tests/fuzz` calls, and nothing else: parsers of what users and viewers say and of what files have, with any bytes at all.

pub use crate::{
    cli::fuzzing::{domain_xml, option_words, qemu_words, snapshot_machine},
    kernel::fuzzing::kernel,
    qmp::fuzzing::qmp,
    snapshot::fuzzing::snapshot_state,
    vnc::fuzzing::vnc,
};

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
