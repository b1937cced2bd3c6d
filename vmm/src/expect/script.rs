//! The steps of `--expect` and `--send`.

use std::time::Duration;

use super::pattern::Pattern;

/// Texts to wait for on COM1, in order, and the answers to type there.
#[derive(Clone, Debug)]
pub struct Script {
    /// Typed when the machine starts.
    pub(crate) first: Vec<Vec<u8>>,
    /// The texts to wait for, in order.
    pub(crate) expects: Vec<Expect>,
    /// The time that each of them has; none is for ever.
    pub(crate) timeout: Option<Duration>,
}

/// A text to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    /// The user's words.
    pub(crate) given: Vec<u8>,
    /// Their meaning.
    pub(crate) pattern: Pattern,
    /// Typed when it has come.
    pub(crate) sends: Vec<Vec<u8>>,
}
