//! The tests, and their outcomes.

use arch::cpu::nesting::Virtualization;
use serde::{Deserialize, Serialize};

use crate::{domain, kept, models, screen, snapshot, tiny};

const PREFIX: &str = "lab:";

pub(crate) const CHECK_HOST: &str = "L0 is judged fit to nest";
pub(crate) const CHECK_GUEST: &str = "L1 is judged fit to nest";
pub(crate) const FLAGS: &str = "L1 has L0's CPU flags";
pub(crate) const CPUID: &str = "L1's CPUID is as shown";
pub(crate) const VMX_MSRS: &str = "L1's VMX capability MSRs";
pub(crate) const SVM_LEAF: &str = "L1's SVM feature leaf";
pub(crate) const SMBIOS: &str = "L1's Linux reads the SMBIOS tables";
pub(crate) const SMP: &str = "L1 has two cores";
pub(crate) const THREADS: &str = "L1 has two sockets of three cores of two threads";
pub(crate) const DIES: &str = "L1 has three dies of a core of two threads";
pub(crate) const RESETS: &str = "L1 works after five resets while an L2 ran";
pub(crate) const PVH: &str = "L1 from a vmlinux, by PVH";
pub(crate) const DISKS: &str = "L1's Linux uses disks of every kind";
pub(crate) const LEGACY: &str = "L1's Linux uses a disk and a network by legacy virtio";
pub(crate) const PORTS: &str = "L1's Linux uses four serial ports";
pub(crate) const SOCKETS: &str = "L1's Linux has sockets to programs of L0";
pub(crate) const VHOST: &str =
    "L1's Linux has sockets to programs of L0 by L0's kernel, through a pause and a reset";
pub(crate) const BALLOON: &str = "L1's Linux gives freed memory back to L0";
pub(crate) const HUNG: &str = "L1's Linux that hangs is looked into";
pub(crate) const HIGH_MEMORY: &str = "L1 has memory above 4 GiB";
pub(crate) const PROGRAMS: &str =
    "L1 runs programs that pass, fail, skip themselves and crash, and prints 10 MiB";
pub(crate) const HANGS: &str = "L1 runs a program that hangs";
pub(crate) const SYSTEM: &str = "L1 is Debian's system, with the right date without kvm-clock";

/// The outcomes of the first level 1, of the one with many devices, and of the one from an ELF kernel.
pub(crate) const FIRST: [&str; 8] = [FLAGS, VMX_MSRS, SVM_LEAF, SMP, CPUID, SMBIOS, RESETS, CHECK_GUEST];
pub(crate) const DEVICES: [&str; 5] = [PORTS, SOCKETS, BALLOON, DISKS, HUNG];
pub(crate) const BY_PVH: [&str; 2] = [PVH, HIGH_MEMORY];

pub(crate) const DEBUG_TINY: &str = "a tiny guest is debugged";
pub(crate) const DEBUG_LINUX: &str = "L1's Linux is debugged from its first instruction on";
pub(crate) const DEBUG_LEVEL_2: &str = "an L2 is debugged by L1's nvmm";

/// The tests of every run on a host with `virt`.
pub(crate) fn planned(virt: Virtualization) -> Vec<String> {
    let first: &[&str] = match virt {
        Virtualization::Vmx => {
            &[CHECK_HOST, CHECK_GUEST, FLAGS, CPUID, VMX_MSRS, SMP, SMBIOS, RESETS, snapshot::TINY, DIES]
        }
        Virtualization::Svm => &[
            CHECK_HOST,
            CHECK_GUEST,
            FLAGS,
            CPUID,
            SVM_LEAF,
            SMP,
            SMBIOS,
            RESETS,
            PORTS,
            SOCKETS,
            BALLOON,
            DISKS,
            HUNG,
            LEGACY,
            VHOST,
            screen::NAME,
            snapshot::NAME,
            snapshot::gif::NAME,
            snapshot::migration::NAME,
            // It needs more memory than Bochs has.
            kept::NAME,
            THREADS,
            DIES,
            PVH,
            HIGH_MEMORY,
            PROGRAMS,
            HANGS,
        ],
    };
    let others = [domain::name(virt), DEBUG_TINY, DEBUG_LINUX, DEBUG_LEVEL_2];
    let first = first.iter().copied().chain(others).map(str::to_owned);
    tiny::planned(virt).chain(first).chain(models::planned(virt)).collect()
}

/// The outcome of a test. On level 0's console, it is a line of text with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The test's name.
    pub(crate) name: String,
    /// The reason, if it failed.
    pub(crate) failure: Option<String>,
}

impl Outcome {
    /// The outcome of the test `name`; an error is its failure.
    pub(crate) fn new(name: &str, result: anyhow::Result<()>) -> Self {
        Self { name: name.to_owned(), failure: result.err().map(|error| format!("{error:#}")) }
    }

    /// The outcome as a line.
    pub(crate) fn to_line(&self) -> String {
        format!("{PREFIX}{}", serde_json::json!(self))
    }

    /// Parses a line; none if it is not an outcome.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(PREFIX)?).ok()
    }
}

#[cfg(test)]
#[path = "outcome_test.rs"]
mod tests;
