//! The host's offer: all that the pipeline reads of it, so that a recorded host serves as well as a real one.

use std::{arch::x86_64::__cpuid_count, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    address_width,
    cpuid::{Cpuid, EXTENDED, Leaf, Registers},
    hex,
    vendor::{Manual, Vendor},
};

/// Functions that describe the host's CPU and are no features, so that KVM may leave them blank. SDM 2A, "CPUID"; APM 3, "CPUID Feature
/// Identifiers".
const NATIVE: [u32; 8] = [
    0x2,         // cache and TLB descriptors
    0x4,         // caches
    0x8000_0002, // brand string, three leaves
    0x8000_0003,
    0x8000_0004,
    0x8000_0005, // L1 caches and TLBs
    0x8000_0006, // L2 and L3 caches
    0x8000_001d, // caches
];
/// The functions of [`NATIVE`] that have a subleaf for each cache. The list ends with a subleaf of type 0 in `EAX[4:0]`.
const CACHES: [u32; 2] = [0x4, 0x8000_001d];
/// SVM and the topology extensions, in ECX of function 8000_0001h.
const AMDS_OWN: u32 = 1 << 2 | 1 << 22;
/// The most subleaves to read: more than any CPU has caches.
const MAX_CACHES: u32 = 16;

/// A host's CPU as KVM and the CPU itself describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCpu {
    /// `KVM_GET_SUPPORTED_CPUID`.
    pub supported: Cpuid,
    /// The CPUID instruction's answers where KVM may have none: [`HostCpu::read_native`].
    pub native: Cpuid,
    /// The answers of `KVM_GET_MSRS` on /dev/kvm for the MSRs in `KVM_GET_MSR_FEATURE_INDEX_LIST`.
    #[serde(with = "hex::msrs")]
    pub feature_msrs: BTreeMap<u32, u64>,
    /// `KVM_CAP_TSC_DEADLINE_TIMER`.
    pub tsc_deadline: bool,
    /// `KVM_CAP_NESTED_STATE`.
    pub nested_state: bool,
    /// The answer of `KVM_GET_TSC_KHZ`, if it was asked for, which takes a VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsc_khz: Option<u32>,
    /// The largest IA32_MCG_CAP that KVM takes: `KVM_X86_GET_MCE_CAP_SUPPORTED`, with the number of banks that `KVM_CAP_MCE` gives. 0, also
    /// in recordings that lack it, means no machine checks.
    #[serde(default, with = "hex::number")]
    pub mcg_cap: u64,
}

impl HostCpu {
    /// Reads the leaves that `supported` leaves blank from the CPU that this runs on. No other leaf is read: where this machine is itself a
    /// guest, each CPUID instruction is an exit, which costs a millisecond a few levels down.
    #[must_use]
    pub fn read_native(supported: &Cpuid) -> Cpuid {
        fill_blanks(supported, |function, index| {
            let answer = __cpuid_count(function, index);
            Registers { eax: answer.eax, ebx: answer.ebx, ecx: answer.ecx, edx: answer.edx }
        })
    }

    /// The maker of the CPU.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        Vendor::named(&String::from_utf8_lossy(&self.supported.get(Leaf::new(0)).maker()))
    }

    /// The manual that describes the CPU, by KVM's grouping of makers. An unknown maker's CPU follows AMD if it has SVM or the topology
    /// extensions, which are AMD's, and Intel otherwise.
    #[must_use]
    pub fn manual(&self) -> Manual {
        match self.vendor() {
            Vendor::Intel | Vendor::Zhaoxin => Manual::Intel,
            Vendor::Amd | Vendor::Hygon => Manual::Amd,
            Vendor::Other if self.supported.get(Leaf::new(0x8000_0001)).ecx & AMDS_OWN != 0 => Manual::Amd,
            Vendor::Other => Manual::Intel,
        }
    }

    /// MAXPHYADDR: bits of a physical address, at most 52.
    #[must_use]
    pub fn physical_address_width(&self) -> u32 {
        address_width::physical(&self.supported)
    }

    /// All that the host has for a guest: KVM's leaves, and native ones for the functions that KVM left blank.
    #[must_use]
    pub fn offered(&self) -> Cpuid {
        let mut offered = self.supported.clone();
        for function in NATIVE {
            let mut native = self.native.function(function).peekable();
            if offered.leaves_blank(function) && native.peek().is_some() {
                offered.remove(function);
                offered.0.extend(native);
            }
        }
        offered
    }
}

/// Fills the leaves that `supported` leaves blank. `read` executes CPUID for a function and a subleaf.
fn fill_blanks(supported: &Cpuid, read: impl Fn(u32, u32) -> Registers) -> Cpuid {
    let mut native = Cpuid::default();
    let last = [0, EXTENDED].map(|base| read(base, 0).eax);
    for function in NATIVE {
        let last = last[usize::from(function >= EXTENDED)];
        if last < function || !supported.leaves_blank(function) {
            continue;
        }
        if !CACHES.contains(&function) {
            let registers = read(function, 0);
            if !registers.is_zero() {
                native.0.insert(Leaf::new(function), registers);
            }
            continue;
        }
        for index in 0..MAX_CACHES {
            let registers = read(function, index);
            if registers.eax & 0x1f == 0 {
                break;
            }
            native.0.insert(Leaf::sub(function, index), registers);
        }
    }
    native
}

#[cfg(test)]
#[path = "host_test.rs"]
mod tests;
