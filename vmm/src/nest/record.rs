//! The record of a run of `nvmm nest`, from which the table, JSON, JUnit and HTML are made.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::exec::outcome::ProgramRecord;
use super::explain::cost::Cost;
use super::facts::Facts;

/// The name of a level 0 that is not emulated.
pub const THIS_MACHINE: &str = "this machine";

/// A run of `nvmm nest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// nvmm's version.
    pub version: String,
    /// The number of levels of guests that were to run.
    pub wanted: u32,
    /// Level 0: [`THIS_MACHINE`], or the emulator's name.
    pub host: String,
    /// The time that all of it took.
    pub seconds: f64,
    /// Its end.
    pub verdict: Verdict,
    /// The user's program, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramRecord>,
    /// The levels, 0 first, as far as they were heard of, and then those that were not reached.
    pub levels: Vec<LevelRecord>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Verdict {
    /// Every level did all that it should.
    Passed,
    /// One did not; the first that is known of is the cause.
    Failed {
        /// The level that failed.
        level: u32,
        /// The kind of its failure.
        kind: FailureKind,
        /// The same in detail.
        why: String,
        /// The end of that level's console.
        console: Vec<String>,
    },
    /// The host cannot nest, or the user's program says that it can't run there.
    Skipped {
        /// The thing that is lacking.
        why: String,
    },
}

/// The kinds of failure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// /init never ran.
    KernelDidNotStart,
    /// KVM's modules, or /dev/kvm after them.
    KvmDidNotLoad,
    /// The CPU that it would get, or has, shows neither VMX nor SVM.
    NoNesting,
    /// Its processor could not run it: KVM or the guest's state gave up.
    EntryFailed,
    /// By CPUID it runs on something else.
    NotOnKvm,
    /// It reads another CPU than the one it was given.
    CpuDiffers,
    /// The disk check.
    Disk,
    /// The user's program.
    #[serde(rename = "program_failed")]
    Program,
    /// nvmm could not do its work there.
    Vmm,
    /// It went on for too long.
    TimedOut,
    /// It was gone before its work was done.
    Ended,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KernelDidNotStart => "the kernel did not start",
            Self::KvmDidNotLoad => "KVM did not load",
            Self::NoNesting => "no nesting",
            Self::EntryFailed => "entry failed",
            Self::NotOnKvm => "not on KVM",
            Self::CpuDiffers => "the CPU differs",
            Self::Disk => "the disk check failed",
            Self::Program => "the program failed",
            Self::Vmm => "nvmm failed",
            Self::TimedOut => "timed out",
            Self::Ended => "ended early",
        })
    }
}

/// The record of one level. Times are seconds from the start of the run, by the host's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelRecord {
    /// Its number; 0 is the host.
    pub level: u32,
    /// The machine that runs it: `this machine`, the emulator's name, or `nvmm on KVM`.
    pub run_by: String,
    /// Its VMM was started. A real host came up long ago.
    pub started: Option<f64>,
    /// Its /init ran.
    pub up: Option<f64>,
    /// Its KVM module was loaded.
    pub kvm_loaded: Option<f64>,
    /// Its KVM entered a guest for the first time: the level above began to run.
    pub first_entry: Option<f64>,
    /// It powered off, with its disk as it said.
    pub passed: Option<f64>,
    /// The facts that it saw of itself.
    pub facts: Option<Facts>,
    /// Its disk check.
    pub disk: Option<DiskRecord>,
    /// The answer of `nvmm check` there, once its KVM is loaded.
    pub check: Option<CheckRecord>,
    /// KVM's statistics of the guest that this level ran: `exits`, `io_exits`, `mmio_exits`, `irq_exits`, `halt_exits` ...
    #[serde(default)]
    pub exits: BTreeMap<String, u64>,
    /// The cost of one exit of the last level for this one, with `--explain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// Why it could not use KVM's tracepoints for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untraced: Option<String>,
    /// Its result.
    pub status: Status,
}

impl LevelRecord {
    /// A level that nothing was heard of.
    #[must_use]
    pub fn not_reached(level: u32, run_by: &str) -> Self {
        Self {
            level,
            run_by: run_by.to_owned(),
            started: None,
            up: None,
            kvm_loaded: None,
            first_entry: None,
            passed: None,
            facts: None,
            disk: None,
            check: None,
            exits: BTreeMap::new(),
            costs: Vec::new(),
            untraced: None,
            status: Status::NotReached,
        }
    }
}

/// A disk check, as that level measured it: where the host is emulated, by a clock that is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiskRecord {
    /// Bytes read, and as many written.
    pub bytes: u64,
    /// The time that reading took.
    pub read_seconds: f64,
    /// The time that writing and flushing took.
    pub write_seconds: f64,
    /// The file outside holds what the level said of it.
    pub verified: bool,
}

/// The answer of `nvmm check` on a level; where it can't tell, nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// nvmm can run guests.
    pub kvm: Option<bool>,
    /// These can run guests of their own: the proof was run.
    pub nested: Option<bool>,
    /// The ids of what it warns of.
    pub warnings: Vec<String>,
}

/// The result of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All that it should do is done.
    Passed,
    /// It is the one that failed, or one that could not end its work because of that.
    Failed,
    /// The host cannot nest, or the user's program can't run there.
    Skipped,
    /// It was never started.
    NotReached,
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
