//! What `tests/fuzz` calls, and only that: parsers of what users write, with any bytes at all.

pub use crate::cli::fuzzing::{domain_xml, qemu_words};

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
