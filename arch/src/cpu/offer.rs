//! The features that a host has for guests: KVM's and those that the hypervisor adds, without any that are only half there.

use super::{
    CpuError,
    capabilities::Capabilities,
    cpuid::Leaf,
    feature::{FeatureId, FeatureSet},
    host::HostCpu,
    hypervisor, msr, nesting,
    patch::{self, At, Decision, Why},
    sets::TOPOLOGICAL,
    signature::Signature,
    vendor::{Manual, Vendor},
    xsave,
};

/// The features that can be given to a guest.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) vendor: Vendor,
    pub(super) manual: Manual,
    pub(super) signature: Signature,
    pub(super) capabilities: Capabilities,
    pub(super) features: FeatureSet,
    /// Features that need nothing except their CPUID bit, so that KVM need not offer them.
    pub(super) emulated: FeatureSet,
    /// Features whose presence is not just KVM's answer.
    pub(super) decisions: Vec<Decision>,
}

impl Offer {
    /// Finds what `host` has to offer.
    pub(super) fn new(host: &HostCpu) -> Result<Self, CpuError> {
        for function in [0, 1] {
            let leaf = Leaf::new(function);
            if !host.supported.0.contains_key(&leaf) {
                return Err(CpuError::MissingLeaf(leaf));
            }
        }
        let mut cpuid = host.offered();
        let mut decisions = Vec::new();
        patch::apply(&mut cpuid, &hypervisor::patches(host), &mut decisions);
        let halves = nesting::whole(&cpuid, &host.feature_msrs);
        patch::apply(&mut cpuid, &halves, &mut decisions);

        let (vmx, arch) = (nesting::VMX.get(&cpuid) == 1, hypervisor::ARCH_CAPABILITIES.get(&cpuid) == 1);
        let [core, pdcm] =
            [hypervisor::CORE_CAPABILITY, hypervisor::PDCM].map(|field| field.get(&cpuid) == 1);
        let described = |index: &u32| match *index {
            msr::ARCH_CAPABILITIES => arch,
            msr::CORE_CAPABILITIES => core,
            msr::PERF_CAPABILITIES => pdcm,
            index => vmx && msr::VMX.contains(&index),
        };
        let msrs = host.feature_msrs.iter().filter(|(index, _)| described(index));
        let msrs = msrs.map(|(&index, &value)| (index, value)).collect();
        let mut capabilities = Capabilities { msrs, cpuid };
        states(&mut capabilities, &mut decisions);
        let manual = host.manual();
        // QEMU gives topoext on any AMD host too: Linux finds threads and dies only with it. A hint is the user's promise, and KVM lists
        // none.
        let emulated =
            if manual == Manual::Amd { "topoext kvm-hint-dedicated" } else { "kvm-hint-dedicated" };
        let emulated = FeatureSet::parse(emulated);
        Ok(Self {
            vendor: host.vendor(),
            manual,
            emulated,
            signature: Signature::decode(capabilities.cpuid.get(Leaf::new(1)).eax),
            features: capabilities.features() - *TOPOLOGICAL,
            capabilities,
            decisions,
        })
    }
}

/// Takes away features that have no state in leaf 0DH and so are only half there. KVM lists AMX, for one, whether or not this process may
/// use its state.
fn states(capabilities: &mut Capabilities, decisions: &mut Vec<Decision>) {
    let half = xsave::half(&capabilities.cpuid).filter_map(FeatureId::find);
    let half: Vec<_> = half.filter(|id| capabilities.has(id.feature().place)).collect();
    let lost =
        half.into_iter().fold(FeatureSet::default(), |lost, id| lost | id.dependents() | id.together());
    for id in lost.iter() {
        let place = id.feature().place;
        if capabilities.has(place) {
            capabilities.set(place, false);
            let why = Why::Restrict("leaf 0DH has no state for it");
            decisions.push(Decision { place: At::Feature(place), name: id.name(), value: 0, host: 1, why });
        }
    }
}
