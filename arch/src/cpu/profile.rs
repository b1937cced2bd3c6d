//! The resolved CPU of one machine: what each vCPU is given, and why.

use std::collections::BTreeMap;

use kvm_bindings::{kvm_cpuid_entry2, kvm_sregs};

use super::{
    CpuError, address_width,
    apic_id::FIRST_X2APIC_ID,
    brand::BRAND,
    capabilities::Capabilities,
    choice::Choice,
    cpuid::{Cpuid, Leaf, MAX_ENTRIES},
    derive,
    feature::{FeatureId, FeatureSet},
    host::HostCpu,
    hypervisor, leaves,
    machine_check::{self, McgCap},
    msr,
    nesting::Nesting,
    offer::Offer,
    patch::{self, At, Decision, Why},
    pmu,
    sets::TOPOLOGICAL,
    spec::{CpuSpec, Match, Model, Nested, PhysicalBits, Policy},
    topology::Topology,
    unmet::Unmet,
    vcpu_msrs,
    vendor::Manual,
    verify::{self, Mismatch},
};

/// A resolved CPU: nothing is left to decide.
#[derive(Clone, Debug)]
pub struct CpuProfile {
    manual: Manual,
    topology: Topology,
    /// The leaves, except for the vCPUs' own numbers, and the capability MSRs.
    capabilities: Capabilities,
    msrs: Vec<(u32, u64)>,
    mcg_cap: Option<McgCap>,
    /// The leaves that KVM offers.
    offered: Cpuid,
    nesting: Nesting,
    choice: Choice,
    canonical: CpuSpec,
    exact: bool,
    decisions: Vec<Decision>,
}

impl CpuProfile {
    /// Decides on the CPU that `spec` asks for on this host.
    ///
    /// # Errors
    ///
    /// The host's leaves are unusable, or the host lacks what `spec` insists on.
    pub fn resolve(host: &HostCpu, spec: &CpuSpec, topology: &Topology) -> Result<Self, CpuError> {
        let offer = Offer::new(host)?;
        let choice = Choice::new(&offer, spec)?;
        check_width(host, spec)?;
        let mut decisions = offer.decisions.clone();
        decisions.extend(feature_decisions(&offer, &choice));

        // Features first, since leaves and levels follow from them. The topology then knows which leaves there are.
        let mut capabilities = derive::start(&offer, &choice, spec);
        // A CPU without a model is the host's, which has its features set already.
        let unset = match choice.model {
            Some(_) => FeatureId::all().collect::<FeatureSet>() - *TOPOLOGICAL,
            None => (choice.granted - offer.features) | (offer.features - choice.granted),
        };
        for id in unset.iter() {
            capabilities.set(id.feature().place, choice.granted.contains(id));
        }
        derive::derive(&mut capabilities, &offer, &choice, spec);
        let cpuid = &mut capabilities.cpuid;
        derive::describe(cpuid, host, &offer, &choice, spec, &mut decisions)?;
        let manual = spec.identity.manual(offer.manual);
        let patches = topology.rewrite(cpuid, manual);
        patch::apply(cpuid, &patches, &mut decisions);
        // The topology may ask for more leaves than the user allows.
        spec.identity.limit(cpuid, &mut decisions);
        let large_ids = hypervisor::large_ids(topology);
        if spec.hide_kvm && !large_ids.is_empty() {
            return Err(CpuError::HiddenKvm);
        }
        patch::apply(cpuid, &large_ids, &mut decisions);
        if cpuid.0.len() > MAX_ENTRIES {
            return Err(CpuError::TooManyLeaves(cpuid.0.len()));
        }

        let nesting = Nesting::of(&capabilities);
        if spec.nested == Nested::On && nesting == Nesting::None {
            return Err(CpuError::NoNesting);
        }
        let mcg_cap = machine_check::mcg_cap(host, &capabilities.cpuid, choice.model.is_none());
        let msrs = vcpu_msrs::all(host, &offer, &choice, &capabilities, mcg_cap, &mut decisions);
        let canonical = CpuSpec {
            model: choice.model.map_or(Model::HostPassthrough, Model::Named),
            settings: choice.settings(&offer),
            // The rest concerns no feature, or is in `settings` by now.
            nested: Nested::default(),
            policy: Policy::default(),
            vendor: None,
            matching: Match::default(),
            migratable: false,
            pmu: spec.pmu.filter(|pmu| *pmu != choice.model.is_none()),
            ..spec.clone()
        };
        let topology = *topology;
        let exact = spec.policy == Policy::Full;
        let offered = offer.capabilities.cpuid;
        Ok(Self {
            manual,
            topology,
            capabilities,
            msrs,
            mcg_cap,
            offered,
            nesting,
            choice,
            canonical,
            exact,
            decisions,
        })
    }

    /// A vCPU's leaves, for `KVM_SET_CPUID2`.
    #[must_use]
    pub fn cpuid(&self, vcpu: u32) -> Vec<kvm_cpuid_entry2> {
        self.leaves(vcpu).to_entries()
    }

    /// A vCPU's leaves.
    #[must_use]
    pub fn leaves(&self, vcpu: u32) -> Cpuid {
        let mut cpuid = self.capabilities.cpuid.clone();
        self.topology.personalize(&mut cpuid, self.manual, vcpu);
        cpuid
    }

    /// Every vCPU's MSRs, in the order to write them, after `KVM_SET_CPUID2`: KVM refuses the MSRs of features that CPUID lacks.
    #[must_use]
    pub fn msrs(&self) -> &[(u32, u64)] {
        &self.msrs
    }

    /// Adds the MSRs to which `here` would give other values to those that are written. For a CPU that was resolved on another host, as
    /// that of a restored machine.
    pub fn run_on(&mut self, here: &HostCpu) {
        let written = |index: u32| self.msrs.iter().any(|&(other, _)| other == index);
        let differ = self.capabilities.msrs.iter().filter(|&(&index, &value)| {
            !vcpu_msrs::is_made(index) && !written(index) && here.feature_msrs.get(&index) != Some(&value)
        });
        let differ: Vec<_> = differ.map(|(&index, &value)| (index, value)).collect();
        // KVM takes them before IA32_FEATURE_CONTROL, which is last.
        let end = self.msrs.iter().position(|&(index, _)| index == msr::FEATURE_CONTROL);
        let end = end.unwrap_or(self.msrs.len());
        self.msrs.splice(end..end, differ);
    }

    /// IA32_MCG_CAP, for `KVM_X86_SETUP_MCE`, if the CPU has machine checks. Set it before the other MSRs: KVM takes the bit of
    /// IA32_FEATURE_CONTROL for local machine checks only from a CPU that has them.
    #[must_use]
    pub fn mcg_cap(&self) -> Option<u64> {
        self.mcg_cap.map(McgCap::into_bits)
    }

    /// The MSRs that report capabilities, with the values that the guest reads, including those that are KVM's own and need no writing.
    #[must_use]
    pub fn capability_msrs(&self) -> &BTreeMap<u32, u64> {
        &self.capabilities.msrs
    }

    /// The features by which the guest can run guests of its own.
    #[must_use]
    pub fn nesting(&self) -> &Nesting {
        &self.nesting
    }

    /// The features that the guest has, except for those that follow from the topology.
    #[must_use]
    pub fn features(&self) -> FeatureSet {
        self.choice.granted
    }

    /// Returns who decided whether the guest has a feature.
    #[must_use]
    pub fn why(&self, feature: FeatureId) -> Why {
        if TOPOLOGICAL.contains(feature) { Why::Topology } else { self.choice.why(feature) }
    }

    /// Returns whether the guest has performance counters. If not, switch them off in KVM before creating vCPUs.
    #[must_use]
    pub fn pmu(&self) -> bool {
        pmu::wanted(&self.canonical, self.choice.model.is_some())
    }

    /// The TSC's rate in kHz, unless it is the host's.
    #[must_use]
    pub fn tsc_khz(&self) -> Option<u32> {
        self.canonical.tsc_khz
    }

    /// Returns whether the guest may use only those of KVM's features that its leaf lists: `kvm-pv-enforce-cpuid`.
    #[must_use]
    pub fn enforces_pv(&self) -> bool {
        self.canonical.enforce_pv
    }

    /// Returns whether it is an error if KVM shows the guest more than this CPU has: libvirt's `check='full'`.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The features that were asked for and could not be given. Empty with `check=off`.
    #[must_use]
    pub fn unmet(&self) -> &[Unmet] {
        &self.choice.unmet
    }

    /// The shortest specification that gives this CPU again on this host, bit for bit.
    #[must_use]
    pub fn canonical(&self) -> &CpuSpec {
        &self.canonical
    }

    /// All values that are not just KVM's answer, in order.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// A vCPU's APIC id.
    #[must_use]
    pub fn apic_id(&self, vcpu: u32) -> u32 {
        self.topology.apic_id(vcpu)
    }

    /// MAXPHYADDR: bits of a physical address.
    #[must_use]
    pub fn physical_address_width(&self) -> u32 {
        address_width::physical(&self.capabilities.cpuid)
    }

    /// Returns whether Linux can't find the threads or dies of this topology: on AMD's CPUs it looks for them only with `topoext`.
    #[must_use]
    pub fn hides_topology(&self) -> bool {
        let seen = self.manual == Manual::Intel || leaves::has(self.choice.granted, "topoext");
        !seen && !self.topology.has_only_cores()
    }

    /// Puts a vCPU's local APIC into x2APIC mode if its ids need it, as firmware does: otherwise Linux drops the larger ids from the MADT.
    pub fn set_apic_mode(&self, sregs: &mut kvm_sregs) {
        if self.topology.max_apic_id() >= FIRST_X2APIC_ID {
            sregs.apic_base |= msr::APIC_BASE_EXTD;
        }
    }

    /// The CPU's name, empty if it has none. Characters other than letters, digits and signs are escaped.
    #[must_use]
    pub fn brand(&self) -> String {
        let leaf = |function| self.capabilities.cpuid.get(Leaf::new(function));
        let registers = BRAND.map(leaf).map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
        let bytes: Vec<u8> = registers.into_iter().flatten().flat_map(u32::to_le_bytes).collect();
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        text.trim_ascii().escape_ascii().to_string()
    }

    /// Compares a vCPU's leaves as `KVM_GET_CPUID2` returns them with the leaves that it was given.
    #[must_use]
    pub fn verify(&self, vcpu: u32, read: &[kvm_cpuid_entry2]) -> Vec<Mismatch> {
        verify::compare(&self.leaves(vcpu), &Cpuid::from_entries(read), &self.offered)
    }
}

/// Refuses addresses that are wider than the processor's, which can't be translated.
fn check_width(host: &HostCpu, spec: &CpuSpec) -> Result<(), CpuError> {
    match spec.physical_bits {
        PhysicalBits::Fixed(given) if given > host.physical_address_width() => {
            Err(CpuError::PhysicalBits { given, host: host.physical_address_width() })
        }
        _ => Ok(()),
    }
}

/// Each feature for which the guest's value is not the one that KVM would give.
fn feature_decisions(offer: &Offer, choice: &Choice) -> impl Iterator<Item = Decision> {
    let changed = (choice.granted - offer.features) | (offer.features - choice.granted);
    changed.iter().map(|id| Decision {
        place: At::Feature(id.feature().place),
        name: id.name(),
        value: choice.granted.contains(id).into(),
        host: offer.features.contains(id).into(),
        why: choice.why(id),
    })
}

#[cfg(test)]
#[path = "profile_test.rs"]
mod tests;
