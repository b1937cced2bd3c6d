//! Disks from a device's view: requests, and how they are carried out, for any driver's protocol.
//!
//! ```text
//! virtio-blk: descriptor chains ──┐                   ┌─ Ring: by io_uring
//!                                 ├─▶ Request ─▶ job ─┤
//! AHCI: command tables ───────────┘                   └─ Executor: by the worker's own thread
//! ```

mod cache;
mod counters;
mod executor;
mod faults;
mod lasting;
mod limit;
mod now;
mod options;
mod request;
mod ring;
#[cfg(test)]
pub(crate) mod slow_disk;
#[cfg(test)]
pub(crate) mod test_disk;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::executor::Job;
#[cfg(test)]
pub(crate) use self::executor::{RANGE, SLICE};
pub(crate) use self::{
    cache::WriteCache,
    executor::Executor,
    limit::Limiter,
    now::Now,
    request::{Operation, Refusal, Reply, Request, Segment},
    ring::Ring,
};
pub use self::{
    counters::{Counters, QueueCounters, RequestKind, Total, Totals},
    lasting::Lasting,
    options::{BlockOptions, CacheMode, Engine, SerialNumber, SerialNumberError},
    ring::check_io_uring,
};
