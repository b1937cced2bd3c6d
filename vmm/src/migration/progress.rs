//! The progress of a migration, as QMP's `query-migrate` tells it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arch::layout::PAGE;
use serde_json::{Value, json};

/// A state of a migration, by QMP's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// There was none.
    #[default]
    None,
    /// The other side is asked whether it can have the machine.
    Setup,
    /// Memory is sent while the guest runs.
    Active,
    /// The machine is stopped, and the rest is sent.
    Device,
    /// The other side runs it.
    Completed,
    /// It runs here, or is stopped here; the error tells.
    Failed,
    /// The user has cancelled it.
    Cancelled,
}

/// The progress of the last migration.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Facts>);

/// Its numbers so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) status: Status,
    pub(crate) began: Option<Instant>,
    /// The time that it took in all.
    pub(crate) took: Option<Duration>,
    /// The time that the machine stood still.
    pub(crate) downtime: Option<Duration>,
    /// The time that it would stand still if it were stopped now.
    pub(crate) expected_downtime: Option<Duration>,
    /// Bytes of RAM.
    pub(crate) total: u64,
    /// Bytes of RAM that are to be sent yet.
    pub(crate) remaining: u64,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// Pages that were sent with their contents.
    pub(crate) pages: u64,
    /// Pages of zeros.
    pub(crate) zeros: u64,
    /// The number of times that changed pages were looked for.
    pub(crate) rounds: u64,
    /// Pages that the guest changes in a second.
    pub(crate) changed: u64,
    /// Bytes that are sent in a second.
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
    /// The facts, to be changed.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A migration of so many bytes of RAM begins.
    pub(crate) fn begin(&self, total: u64) {
        let began = Some(Instant::now());
        *self.facts() = Facts { status: Status::Setup, began, total, remaining: total, ..Facts::default() };
    }

    /// It has ended, after the machine stood still for `downtime`.
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
