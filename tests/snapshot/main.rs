//! Snapshots: a machine that is saved goes on as if nothing had happened, and a save that fails leaves nothing that looks whole.
//!
//! `NVMM_SAVES` is how often a machine under load is saved (20), `NVMM_SEED` what its moments are taken from (1).
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "a thread gets mounts of its own")]

#[path = "../guests/blk_plan.rs"]
#[expect(dead_code, reason = "a part of it is used here")]
mod blk_plan;
#[path = "../support/control.rs"]
mod control;
#[path = "../support/damage.rs"]
mod damage;
#[path = "../support/images.rs"]
#[expect(dead_code, reason = "a part of it is used here")]
mod images;
#[path = "../support/model.rs"]
mod model;
#[path = "../support/network.rs"]
mod network;
#[path = "../support/stepped.rs"]
#[expect(dead_code, reason = "only its lines are used here")]
mod stepped;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/written.rs"]
mod written;

mod balloon;
mod broken;
mod damaged;
mod disks;
mod identity;
mod interrupts;
mod load;
mod networks;
mod orders;
mod same;
mod saved;
