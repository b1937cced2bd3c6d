//! The record of a run of `nvmm nest`, from which the table, JSON, JUnit and HTML are made.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::exec::outcome::ProgramRecord;
use super::explain::cost::Cost;
use super::facts::Facts;

/// The name of level 0 if it is not emulated.
pub const THIS_MACHINE: &str = "this machine";

/// A run of `nvmm nest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// nvmm's version.
    pub version: String,
    /// The number of levels of guests that were wanted.
    pub wanted: u32,
    /// Level 0: [`THIS_MACHINE`], or the emulator's name.
    pub host: String,
    /// The total time.
    pub seconds: f64,
    /// The result.
    pub verdict: Verdict,
    /// The user's program, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramRecord>,
    /// The levels, 0 first: those that were heard from, and then those that were not reached.
    pub levels: Vec<LevelRecord>,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Verdict {
    /// Every level succeeded.
    Passed,
    /// A level failed. If several did, this is the first that was reported, which is the cause.
    Failed {
        /// The level that failed.
        level: u32,
        /// The kind of its failure.
        kind: FailureKind,
        /// The failure in detail.
        why: String,
        /// The last lines of that level's console.
        console: Vec<String>,
    },
    /// The host can't nest, or the user's program reported that it can't run there.
    Skipped {
        /// The thing that is missing.
        why: String,
    },
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// This user may not open the host's KVM.
    NoAccess,
    /// /init did not run.
    KernelDidNotStart,
    /// KVM's modules failed to load, or /dev/kvm can't be used after that.
    KvmDidNotLoad,
    /// The CPU shows neither VMX nor SVM.
    NoNesting,
    /// The processor could not run the level: KVM failed, or the guest's state was invalid.
    EntryFailed,
    /// CPUID shows another hypervisor than KVM.
    NotOnKvm,
    /// The CPU differs from the one that was promised.
    CpuDiffers,
    /// The disk check failed.
    Disk,
    /// The user's program failed.
    #[serde(rename = "program_failed")]
    Program,
    /// nvmm failed there.
    Vmm,
    /// The level took too long.
    TimedOut,
    /// The level ended before its work was done.
    Ended,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAccess => "no access to KVM",
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

/// The record of a level. Times are seconds from the start of the run, by the host's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelRecord {
    /// The number; 0 is the host.
    pub level: u32,
    /// The machine that runs it: `this machine`, the emulator's name, or `nvmm on KVM`.
    pub run_by: String,
    /// The time when its VMM was started. A real host has none.
    pub started: Option<f64>,
    /// The time when its /init ran.
    pub up: Option<f64>,
    /// The time when its KVM module was loaded.
    pub kvm_loaded: Option<f64>,
    /// The time when its KVM first entered a guest, so that the level above began to run.
    pub first_entry: Option<f64>,
    /// The time when it powered off, and its disk was as it had reported.
    pub passed: Option<f64>,
    /// The facts about itself.
    pub facts: Option<Facts>,
    /// The disk check.
    pub disk: Option<DiskRecord>,
    /// The result of `nvmm check` there, after its KVM was loaded.
    pub check: Option<CheckRecord>,
    /// KVM's statistics of the guest that this level ran: `exits`, `io_exits`, `mmio_exits`, `irq_exits`, `halt_exits` ...
    #[serde(default)]
    pub exits: BTreeMap<String, u64>,
    /// The cost of one exit of the last level for this one, with `--explain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// The reason why it could not use KVM's tracepoints for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untraced: Option<String>,
    /// The result.
    pub status: Status,
}

impl LevelRecord {
    /// The record of a level from which nothing was heard.
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

/// A disk check, measured by that level: if the host is emulated, with a clock that can't be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiskRecord {
    /// The number of bytes that were read, and of bytes that were written.
    pub bytes: u64,
    /// The time that reading took.
    pub read_seconds: f64,
    /// The time that writing and flushing took.
    pub write_seconds: f64,
    /// The file outside is as the level reported.
    pub verified: bool,
}

/// The result of `nvmm check` on a level; none where it can't tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// nvmm can run guests.
    pub kvm: Option<bool>,
    /// The levels that can run guests of their own, by the proof.
    pub nested: Option<bool>,
    /// The ids of its warnings.
    pub warnings: Vec<String>,
}

/// The result of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The level succeeded.
    Passed,
    /// The level failed, or it could not finish its work because another level failed.
    Failed,
    /// The host can't nest, or the user's program can't run there.
    Skipped,
    /// The level was never started.
    NotReached,
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
