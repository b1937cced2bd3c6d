//! The progress of a migration, for QMP's `query-migrate`.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arch::layout::PAGE;
use serde_json::{Value, json};

/// The status of a migration, with QMP's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// There was no migration.
    #[default]
    None,
    /// The other side is asked whether it can run the machine.
    Setup,
    /// Memory is sent while the guest runs.
    Active,
    /// The machine is stopped, and the rest is sent.
    Device,
    /// The machine runs on the other side.
    Completed,
    /// The migration failed. The machine runs here, or is stopped here, as the error says.
    Failed,
    /// The user has cancelled it.
    Cancelled,
}

/// The progress of the last migration.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Facts>);

/// The numbers of a migration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) began: Option<Instant>,
    /// The total time that it took.
    pub(crate) took: Option<Duration>,
    /// The time for which the machine stood still.
    pub(crate) downtime: Option<Duration>,
    /// The time for which it would stand still if it were stopped now.
    pub(crate) expected_downtime: Option<Duration>,
    /// Bytes of RAM.
    pub(crate) total: u64,
    /// Bytes of RAM that are still to be sent.
    pub(crate) remaining: u64,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// Pages that were sent with their contents.
    pub(crate) pages: u64,
    /// Pages that were sent as zeros.
    pub(crate) zeros: u64,
    /// The number of times that changed pages were collected.
    pub(crate) rounds: u64,
    /// Pages that the guest changes per second.
    pub(crate) changed: u64,
    /// Bytes that are sent per second.
    pub(crate) rate: u64,
    pub(crate) error: Option<String>,
}

impl Status {
    /// QMP's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Setup => "setup",
            Self::Active => "active",
            Self::Device => "device",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Progress {
    /// Locks the facts, to change them.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a migration of so many bytes of RAM.
    pub(crate) fn begin(&self, total: u64) {
        let began = Some(Instant::now());
        *self.facts() = Facts { status: Status::Setup, began, total, remaining: total, ..Facts::default() };
    }

    /// Records its end, after the machine stood still for `downtime`.
    pub(crate) fn end(&self, status: Status, downtime: Option<Duration>, error: Option<String>) {
        let mut facts = self.facts();
        facts.took = facts.began.map(|began| began.elapsed());
        (facts.status, facts.downtime, facts.error) = (status, downtime, error);
    }

    /// QMP's `MigrationInfo`.
    pub(crate) fn to_json(&self) -> Value {
        let facts = self.facts().clone();
        let Some(began) = facts.began else { return json!({}) };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let megabits = facts.rate.saturating_mul(8) / 1_000_000;
        let mut info = json!({
            "status": facts.status.name(),
            "total-time": milliseconds(facts.took.unwrap_or_else(|| began.elapsed())),
            "ram": {
                "total": facts.total,
                "transferred": facts.sent,
                "remaining": facts.remaining,
                "duplicate": facts.zeros,
                "normal": facts.pages,
                "normal-bytes": facts.pages * PAGE,
                "dirty-pages-rate": facts.changed,
                "mbps": megabits,
                "dirty-sync-count": facts.rounds,
                "page-size": PAGE,
            },
        });
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                info[name] = value;
            }
        };
        add("downtime", facts.downtime.map(|time| milliseconds(time).into()));
        add("expected-downtime", facts.expected_downtime.map(|time| milliseconds(time).into()));
        add("error-desc", facts.error.map(Value::from));
        info
    }
}
