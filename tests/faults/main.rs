//! Faults of the host and of other processes, at any moment: nvmm survives them, or ends with a reason and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[expect(dead_code, reason = "these tests use a part of it")]
#[path = "../guests/blk_plan.rs"]
mod blk_plan;
#[path = "../support/control.rs"]
mod control;
#[expect(dead_code, reason = "these tests use a part of it")]
#[path = "../support/images.rs"]
mod images;
mod injection;
mod kvm;
mod memory;
#[expect(dead_code, reason = "these tests use a part of it")]
#[path = "../support/model.rs"]
mod model;
#[path = "../support/network.rs"]
mod network;
mod peers;
mod signals;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod tracee;
