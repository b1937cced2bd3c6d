//! Snapshots: a saved machine continues as if nothing had happened, and a failed save leaves nothing that looks complete.
//!
//! `NVMM_SAVES` is the number of saves of a machine under load (20, or 50 for all loads at once), `NVMM_SEED` the seed for their moments (1).
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
#[path = "../support/remote.rs"]
mod remote;
#[path = "../support/stepped.rs"]
#[expect(dead_code, reason = "only its lines are used here")]
mod stepped;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/written.rs"]
mod written;

mod at_exit;
mod balloon;
mod broken;
mod damaged;
mod disks;
mod identity;
mod interrupts;
mod load;
mod loads;
mod networks;
mod orders;
mod same;
mod saved;
