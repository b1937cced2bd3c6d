//! A tiny level 1 that has cleared SVM's global interrupt flag.

use std::fs;

use anyhow::{Context, ensure};

use super::machine::{ctl, nested_flags};
use super::tiny::Tiny;

pub(crate) const NAME: &str = "a snapshot of a tiny L1 that holds an NMI and an interrupt by SVM's GIF";

const SOCKET: &str = "/gif.qmp";
const FOLDER: &str = "/gif";
/// `KVM_STATE_NESTED_GIF_SET`.
const GIF_SET: u16 = 0x100;

/// Level 0: saves it, ends it, and restores it.
pub(crate) fn run() -> anyhow::Result<()> {
    let tiny = Tiny::holds(&["--qmp", SOCKET])?;
    ctl(SOCKET, &["snapshot", FOLDER])?;
    let flags = nested_flags(FOLDER)?;
    ensure!(flags.len() == 1 && flags[0] & GIF_SET == 0, "the flag is saved as set: {flags:x?}");
    let mut restored = tiny.killed_and_restored(FOLDER)?;
    fs::remove_dir_all(FOLDER).context("removing the snapshot")?;
    restored.ask(b'.', "before, then 50 2")?;
    restored.end()
}
