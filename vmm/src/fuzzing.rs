//! The entries that `tests/fuzz` calls, and nothing else: parsers of users' words, with any bytes at all.

pub use crate::cli::fuzzing::{domain_xml, qemu_words};

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
