//! The parts of a machine's state that are about moving it.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use crate::migration::Migrate;

/// A migration that is under way.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) order: Migrate,
    pub(super) cancelled: Arc<AtomicBool>,
    /// The machine ran when it began to stand still.
    pub(super) stood: Option<Instant>,
}

/// The disks and the file of UEFI variables are another nvmm's, perhaps.
#[derive(Debug)]
pub(super) struct Given;
