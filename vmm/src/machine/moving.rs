//! The parts of a machine's state that concern migration.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use crate::migration::Migrate;

/// A migration in progress.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) order: Migrate,
    pub(super) cancelled: Arc<AtomicBool>,
    /// The time when the machine was stopped, if it ran before.
    pub(super) stood: Option<Instant>,
}

/// The disks and the file of UEFI variables may belong to another nvmm now.
#[derive(Debug)]
pub(super) struct Given;
