//! The entries that `tests/fuzz` calls, and nothing else: parsers of what users and viewers say, with any bytes at all.

pub use crate::{
    cli::fuzzing::{domain_xml, qemu_words},
    vnc::fuzzing::vnc,
};

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
