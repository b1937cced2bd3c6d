//! The CPU that the level below promises, which the level compares with its own.

use std::arch::x86_64::__cpuid_count;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use arch::cpu::cpuid::{Cpuid, Leaf, Registers};
use arch::cpu::feature::{FeatureId, Place};
use arch::cpu::profile::CpuProfile;
use arch::cpu::verify::{self, Mismatch};
use devices::threads::{self, Role};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::image;

/// The path in the image for it, as JSON.
pub(super) const PROMISE: &str = "nest/promise.json";

/// The MSRs that describe VMX and that KVM does not change. In the others, it clears bits according to CPUID.
const MSRS: [u32; 7] = [0x480, 0x481, 0x482, 0x485, 0x48b, 0x48c, 0x48d];
/// The bits of HLE and RTM in CPUID.07H.0:EBX, which Linux may switch off with `IA32_TSX_CTRL`.
const TSX: (Leaf, u32) = (Leaf::sub(0x7, 0), 1 << 4 | 1 << 11);

/// The CPU of a level's first processor, and the features of the level below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Promise {
    leaves: Cpuid,
    msrs: BTreeMap<u32, u64>,
    /// The flags of the level below, as in its [`super::facts::Facts`].
    pub(super) below: Vec<String>,
}

impl Promise {
    pub(super) fn new(profile: &CpuProfile, below: Vec<String>) -> Self {
        let msrs = profile.capability_msrs().iter().filter(|(index, _)| MSRS.contains(index));
        let msrs = msrs.map(|(&index, &value)| (index, value)).collect();
        Self { leaves: profile.leaves(0), msrs, below }
    }

    /// Reads the promise for this level; none on an emulated level 0.
    pub(super) fn read() -> anyhow::Result<Option<Self>> {
        let path = image::in_root(PROMISE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).context("reading the promise")?;
        Ok(Some(serde_json::from_slice(&text).context("reading the promise")?))
    }

    /// Lists the differences that this level finds, each with its name. MSRs are compared if the module that shows them is loaded.
    pub(super) fn broken(&self) -> anyhow::Result<Vec<String>> {
        let leaves: Vec<Leaf> = self.leaves.0.keys().copied().collect();
        let found = on_first_processor(move || leaves.into_iter().map(|leaf| (leaf, cpuid(leaf))).collect())?;
        let mut broken = self.differing(Cpuid(found));
        let msrs = Path::new("/dev/cpu/0/msr");
        if !self.msrs.is_empty() && msrs.exists() {
            let file = File::open(msrs).context("opening /dev/cpu/0/msr")?;
            for (&index, &value) in &self.msrs {
                let mut bytes = [0; 8];
                let found = file.read_exact_at(&mut bytes, index.into()).map(|()| u64::from_le_bytes(bytes));
                match found {
                    Ok(found) if found == value => {}
                    Ok(found) => broken.push(format!("MSR {index:#x} is {found:#x} and not {value:#x}")),
                    Err(error) => broken.push(format!("MSR {index:#x} can't be read: {error}")),
                }
            }
        }
        Ok(broken)
    }

    fn differing(&self, mut found: Cpuid) -> Vec<String> {
        let mut given = self.leaves.clone();
        for cpuid in [&mut given, &mut found] {
            if let Some(registers) = cpuid.0.get_mut(&TSX.0) {
                registers.ebx &= !TSX.1;
            }
        }
        let differing = verify::compare(&given, &found, &Cpuid::default());
        differing.iter().map(describe).collect()
    }
}

/// Writes `CPUID.01H:ECX is 0x0 and not 0x20 (-vmx)`: the features gained and lost, as far as they have names.
fn describe(mismatch: &Mismatch) -> String {
    let differing = mismatch.set ^ mismatch.read;
    let names: Vec<_> = FeatureId::all()
        .filter_map(|id| match id.feature().place {
            Place::Cpuid(leaf, register, bit)
                if (leaf, register) == (mismatch.leaf, mismatch.register) && differing >> bit & 1 != 0 =>
            {
                Some(format!("{}{}", if mismatch.read >> bit & 1 != 0 { '+' } else { '-' }, id.name()))
            }
            _ => None,
        })
        .collect();
    if names.is_empty() { mismatch.to_string() } else { format!("{mismatch} ({})", names.join(", ")) }
}

/// Calls `work` on processor 0, on which Linux starts and which is vCPU 0: others' answers contain their own numbers.
fn on_first_processor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let worker = threads::spawn(&Role::Cpuid, || {
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first).context("running on processor 0")?;
        Ok(work())
    })?;
    worker.join().unwrap_or_else(|_| Err(anyhow!("reading CPUID panicked")))
}

fn cpuid(leaf: Leaf) -> Registers {
    let answer = __cpuid_count(leaf.function, leaf.index.unwrap_or(0));
    Registers { eax: answer.eax, ebx: answer.ebx, ecx: answer.ecx, edx: answer.edx }
}

#[cfg(test)]
#[path = "promise_test.rs"]
mod tests;
