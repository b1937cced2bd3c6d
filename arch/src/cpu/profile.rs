//! The CPU of one machine, decided on: what each vCPU is given, and why.

use kvm_bindings::{kvm_cpuid_entry2, kvm_sregs};

use super::{
    CpuError,
    cpuid::{Cpuid, Leaf},
    host::{HostCpu, Vendor},
    hypervisor, msr,
    nesting::Nesting,
    patch::{Decision, Patch, Why},
    spec::{CpuSpec, Model},
    topology::{FIRST_X2APIC_ID, Topology},
    verify::{self, Mismatch},
};

/// `KVM_MAX_CPUID_ENTRIES`.
pub(super) const MAX_ENTRIES: usize = 256;
/// The three leaves of the brand string.
const BRAND: [u32; 3] = [0x8000_0002, 0x8000_0003, 0x8000_0004];

/// A CPU, resolved: nothing is left to decide.
#[derive(Clone, Debug)]
pub struct CpuProfile {
    vendor: Vendor,
    topology: Topology,
    /// The leaves, but for the vCPUs' own numbers.
    cpuid: Cpuid,
    msrs: Vec<(u32, u64)>,
    nesting: Nesting,
    decisions: Vec<Decision>,
}

impl CpuProfile {
    /// Decides what the CPU that `spec` asks for is on this host.
    ///
    /// # Errors
    ///
    /// The host's leaves are unusable.
    pub fn resolve(host: &HostCpu, spec: &CpuSpec, topology: &Topology) -> Result<Self, CpuError> {
        for function in [0, 1] {
            let leaf = Leaf::new(function);
            if !host.supported.0.contains_key(&leaf) {
                return Err(CpuError::MissingLeaf(leaf));
            }
        }
        let vendor = host.vendor();
        let mut cpuid = match spec.model {
            Model::HostPassthrough => host.offered(),
        };
        // The topology knows which leaves there are, the hypervisor's bits are on any model, and what can be granted is judged last.
        let mut decisions = Vec::new();
        let patches = topology.rewrite(&mut cpuid, vendor);
        apply(&mut cpuid, &patches, &mut decisions);
        apply(&mut cpuid, &hypervisor::patches(host, topology), &mut decisions);
        let (nesting, patches) = Nesting::decide(&cpuid, &host.feature_msrs);
        apply(&mut cpuid, &patches, &mut decisions);
        if cpuid.0.len() > MAX_ENTRIES {
            return Err(CpuError::TooManyLeaves(cpuid.0.len()));
        }

        let mut msrs = Vec::new();
        let mut write = |index, name, value, host: Option<u64>, why| {
            msrs.push((index, value));
            decisions.push(Decision {
                place: format!("MSR {index:#x}"),
                name,
                value,
                host: host.unwrap_or(0),
                why,
            });
        };
        // KVM would show a revision of its own, though the host's is a feature MSR.
        if let Some(&revision) = host.feature_msrs.get(&msr::BIOS_SIGN_ID) {
            write(msr::BIOS_SIGN_ID, "microcode revision", revision, Some(revision), Why::Host);
        }
        // The capability MSRs are KVM's own defaults: nothing to write. Firmware would have locked this one.
        if let Nesting::Vmx(_) = nesting {
            let value = msr::FEATURE_CONTROL_LOCKED | msr::FEATURE_CONTROL_VMX_OUTSIDE_SMX;
            write(
                msr::FEATURE_CONTROL,
                "feature control: locked, VMX outside SMX",
                value,
                None,
                Why::Hypervisor,
            );
        }
        Ok(Self { vendor, topology: *topology, cpuid, msrs, nesting, decisions })
    }

    /// A vCPU's leaves, for `KVM_SET_CPUID2`.
    #[must_use]
    pub fn cpuid(&self, vcpu: u32) -> Vec<kvm_cpuid_entry2> {
        self.leaves(vcpu).to_entries()
    }

    /// Every vCPU's MSRs, in the order to write them, after `KVM_SET_CPUID2`: KVM refuses those of features that CPUID lacks.
    #[must_use]
    pub fn msrs(&self) -> &[(u32, u64)] {
        &self.msrs
    }

    /// What there is for guests of the guest.
    #[must_use]
    pub fn nesting(&self) -> &Nesting {
        &self.nesting
    }

    /// All that is not simply KVM's answer, in order.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// A vCPU's APIC id.
    #[must_use]
    pub fn apic_id(&self, vcpu: u32) -> u32 {
        self.topology.apic_id(vcpu)
    }

    /// Puts a vCPU's local APIC into x2APIC mode if ids need it, as firmware does: Linux drops the larger ids from the MADT when it isn't.
    pub fn set_apic_mode(&self, sregs: &mut kvm_sregs) {
        if self.topology.max_apic_id() >= FIRST_X2APIC_ID {
            sregs.apic_base |= msr::APIC_BASE_EXTD;
        }
    }

    /// The CPU's name, empty if it has none.
    #[must_use]
    pub fn brand(&self) -> String {
        let leaf = |function| self.cpuid.get(Leaf::new(function));
        let registers = BRAND.map(leaf).map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
        let bytes: Vec<u8> = registers.into_iter().flatten().flat_map(u32::to_le_bytes).collect();
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).trim().to_owned()
    }

    /// Compares a vCPU's leaves as `KVM_GET_CPUID2` has them with those it was given.
    #[must_use]
    pub fn verify(&self, vcpu: u32, read: &[kvm_cpuid_entry2]) -> Vec<Mismatch> {
        verify::compare(&self.leaves(vcpu), &Cpuid::from_entries(read))
    }

    fn leaves(&self, vcpu: u32) -> Cpuid {
        let mut cpuid = self.cpuid.clone();
        self.topology.personalize(&mut cpuid, self.vendor, vcpu);
        cpuid
    }
}

fn apply(cpuid: &mut Cpuid, patches: &[Patch], decisions: &mut Vec<Decision>) {
    let made = patches.iter().map(|patch| patch.apply(cpuid));
    decisions.extend(made.filter(|decision| decision.value != decision.host));
}

#[cfg(test)]
#[path = "profile_test.rs"]
mod tests;
