//! Facts about a host. Nothing here judges them, and the module `judge` reads nothing else, so that a recorded host is as good as a real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use arch::cpu::{
    cpuid::{Leaf, Register},
    host::HostCpu,
    msr, svm,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::proof::Proof;

/// All facts. In files, missing ones can be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -v`, which on Debian contains the version of Linux.
    pub build: String,
    /// The processor.
    pub cpu: Cpu,
    /// KVM's device node.
    pub device: KvmDevice,
    /// The KVM behind it, if it could be opened.
    pub kvm: Option<Kvm>,
    /// The modules of /sys/module whose names begin with `kvm`.
    pub modules: BTreeMap<String, Module>,
    /// KVM's modules in /lib/modules, by modules.dep; none if that can't be read.
    pub installed: Option<BTreeSet<String>>,
    /// KVM's modules that are built into the kernel, by modules.builtin.
    pub builtin: BTreeSet<String>,
    /// Kernel parameters for KVM.
    pub parameters: Vec<String>,
    /// The distribution: `ID` and `ID_LIKE` of /etc/os-release.
    pub os: BTreeMap<String, String>,
    /// The system is an image managed by OSTree: /run/ostree-booted.
    pub ostree: bool,
    /// The firmware's names for the machine: /sys/class/dmi/id.
    pub dmi: BTreeMap<String, String>,
    /// The sign that this is a container.
    pub container: Option<String>,
    /// MSRs that /dev/cpu/0/msr shows: `IA32_FEATURE_CONTROL`, `VM_CR`.
    pub msrs: BTreeMap<Hex, Hex>,
    /// The result of the proof in a guest.
    pub proof: Proof,
}

/// The processor, as this machine sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// /proc/cpuinfo's `model name`.
    pub model: String,
    /// CPUID's vendor, as in `GenuineIntel`.
    pub vendor: String,
    /// The flags of /proc/cpuinfo about virtualization.
    pub flags: BTreeSet<String>,
    /// `CPUID.01H:ECX[5]`, which may differ from the kernel's flag.
    pub vmx: bool,
    /// `CPUID.80000001H:ECX[2]`.
    pub svm: bool,
    /// The hypervisor's signature in CPUID.40000000H; empty without a hypervisor.
    pub hypervisor: String,
    /// Signatures in later leaves, from 40000100H on: a hypervisor's own, if it shows Hyper-V's first.
    pub more_hypervisors: Vec<String>,
}

/// The device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KvmDevice {
    /// The path.
    pub path: String,
    /// The error in opening it; none if it opens.
    pub errno: Option<i32>,
    /// The group that it belongs to.
    pub group: Option<String>,
}

/// KVM's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kvm {
    /// `KVM_GET_API_VERSION`; -1 if KVM does not support that call.
    pub api_version: i32,
    /// Capabilities that nvmm needs and KVM lacks.
    pub missing: Vec<String>,
    /// The features that it offers to guests for nesting.
    pub offered: Option<Offered>,
    /// The error in asking for these.
    pub error: Option<String>,
    /// The rates of guests' TSCs, if KVM reports them.
    pub tsc: Option<Tsc>,
}

/// The rate that KVM gives a new guest's TSC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tsc {
    /// The rate without a request, in kHz. On some CPUs it is the kernel's rate from when KVM was loaded.
    pub guest_khz: u32,
    /// The kernel's rate now, in kHz.
    pub host_khz: u32,
    /// The CPU can run a guest's TSC at another rate than its own: `KVM_CAP_TSC_CONTROL`.
    pub scaling: bool,
}

/// The features for nesting that KVM offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offered {
    /// `CPUID.01H:ECX[5]`.
    pub vmx: bool,
    /// `CPUID.80000001H:ECX[2]`.
    pub svm: bool,
    /// The VMX capability MSRs, 480H to 491H.
    pub vmx_msrs: BTreeMap<Hex, Hex>,
    /// CPUID.8000000AH:EDX.
    pub svm_features: Hex,
    /// `KVM_CAP_NESTED_STATE`.
    pub nested_state: bool,
}

/// A module in the running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Module {
    /// The module is built into the kernel and can't be reloaded.
    pub builtin: bool,
    /// The parameters.
    pub parameters: BTreeMap<String, String>,
}

/// A number, in files as `"0x1f"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl Facts {
    /// A parameter of a module, such as `nested` of `kvm_intel`.
    #[must_use]
    pub fn parameter(&self, module: &str, name: &str) -> Option<&str> {
        self.modules.get(module)?.parameters.get(name).map(String::as_str)
    }

    /// Returns whether CPUID has a hypervisor's signature.
    #[must_use]
    pub fn signed(&self, signature: &str) -> bool {
        self.cpu.hypervisor == signature || self.cpu.more_hypervisors.iter().any(|more| more == signature)
    }

    /// Returns whether the kernel lists a CPU flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.cpu.flags.contains(name)
    }

    /// The value of an MSR, if it is known.
    #[must_use]
    pub fn msr(&self, index: u32) -> Option<u64> {
        self.msrs.get(&Hex(index.into())).map(|value| value.0)
    }

    /// The words of `ID` or `ID_LIKE` in /etc/os-release.
    pub fn os(&self, name: &str) -> impl Iterator<Item = &str> {
        self.os.get(name).map_or("", String::as_str).split_whitespace()
    }

    /// The firmware's name for a part of the machine, a file of /sys/class/dmi/id.
    #[must_use]
    pub fn dmi(&self, name: &str) -> &str {
        self.dmi.get(name).map_or("", String::as_str)
    }
}

/// The facts of a host's CPU that matter here.
impl From<&HostCpu> for Offered {
    fn from(cpu: &HostCpu) -> Self {
        let bit = |leaf, bit: u32| cpu.supported.get(Leaf::new(leaf)).get(Register::Ecx) >> bit & 1 == 1;
        let msrs = cpu.feature_msrs.range(msr::VMX);
        Self {
            vmx: bit(1, 5),
            svm: bit(0x8000_0001, 2),
            vmx_msrs: msrs.map(|(&index, &value)| (Hex(index.into()), Hex(value))).collect(),
            svm_features: Hex(cpu.supported.get(Leaf::new(svm::FUNCTION)).edx.into()),
            nested_state: cpu.nested_state,
        }
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.map(Self).ok_or_else(|| D::Error::custom(format!("{text:?} is not a number such as 0x1f")))
    }
}

#[cfg(test)]
#[path = "facts_test.rs"]
mod tests;
