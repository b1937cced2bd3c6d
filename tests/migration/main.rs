//! Migration: a machine moves to another nvmm, and continues there as if nothing had happened; if any step fails, it continues where it
//! was.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../guests/blk_plan.rs"]
#[expect(dead_code, reason = "a part of it is used here")]
mod blk_plan;
#[path = "../support/control.rs"]
mod control;
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

mod broken;
mod load;
mod moved;
mod net;
mod orders;
mod sides;
