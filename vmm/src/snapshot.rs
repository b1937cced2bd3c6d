//! Snapshots: a machine saved in a directory, to be continued later.
//!
//! ```text
//! Machine::save: paused ─▶ state.json: KvmState, devices ─▶ memory ─▶ machine.json: Manifest ─▶ named, goes on or ends
//! --restore DIR: machine.json ─▶ options ─▶ Machine::build: memory ─▶ KvmState ─▶ devices ─▶ goes on
//! ```

mod at_exit;
mod clock;
mod directory;
mod disks;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod info;
mod manifest;
mod memory;
mod msrs;
mod options;
mod order;
mod origin;
mod pieces;
mod raw;
mod restored;
mod vcpu;
mod vm;
mod vmcb;

pub use self::{
    at_exit::{look_at_exit, try_at_exit},
    info::{SnapshotCommand, run},
    origin::{InputFile, Origin, folder, input_files},
    restored::{Restored, Snapshot},
};
pub(crate) use self::{
    directory::NewDirectory,
    files::{MACHINE, MEMORY, STATE},
    manifest::Manifest,
    memory::{MemoryLayout, Part, of_devices, ram},
    order::SaveSnapshot,
    restored::{Received, State},
    vcpu::Around,
    vm::KvmState,
};
