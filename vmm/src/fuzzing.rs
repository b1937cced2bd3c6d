//! The entry points for `tests/fuzz`: parsers of input from users, viewers and files, called with any bytes.

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
