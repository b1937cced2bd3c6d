//! The steps of `--expect` and `--send`.

use std::time::Duration;

use super::pattern::Pattern;

/// Texts to wait for on COM1, in order, and the answers to type there.
#[derive(Clone, Debug)]
pub struct Script {
    /// Texts to type when the machine starts.
    pub(crate) first: Vec<Vec<u8>>,
    /// The texts to wait for, in order.
    pub(crate) expects: Vec<Expect>,
    /// The time limit for each of them, if there is one.
    pub(crate) timeout: Option<Duration>,
}

/// A text to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    /// The text as the user gave it.
    pub(crate) given: Vec<u8>,
    /// The pattern to look for.
    pub(crate) pattern: Pattern,
    /// Texts to type when it has been found.
    pub(crate) sends: Vec<Vec<u8>>,
}
