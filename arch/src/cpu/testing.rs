//! Recorded hosts to test with: resources/hosts/README.md says where each is from.

use super::{
    CpuError,
    capabilities::Capabilities,
    cpuid::{Leaf, Registers},
    feature::{FeatureId, FeatureSet},
    host::HostCpu,
    profile::CpuProfile,
    signature::Signature,
    topology::Topology,
};

/// VMX, all of it.
pub(crate) fn haswell() -> HostCpu {
    load(include_str!("../../../resources/hosts/bochs-haswell.json"))
}

/// SVM with nested paging.
pub(super) fn epyc() -> HostCpu {
    load(include_str!("../../../resources/hosts/qemu-tcg-epyc.json"))
}

/// No nesting, and a CPU new enough for leaf 1FH.
pub(super) fn software() -> HostCpu {
    load(include_str!("../../../resources/hosts/software-kvm.json"))
}

/// Servers that people run VMs on, each maker's from old to new, all with nesting.
pub(super) fn servers() -> Vec<(&'static str, HostCpu)> {
    let server = |(name, json)| (name, load(json));
    [
        ("broadwell-ep", include_str!("../../../resources/hosts/broadwell-ep.json")),
        ("cascade-lake", include_str!("../../../resources/hosts/cascade-lake.json")),
        ("ice-lake", include_str!("../../../resources/hosts/ice-lake.json")),
        ("sapphire-rapids", include_str!("../../../resources/hosts/sapphire-rapids.json")),
        ("granite-rapids", include_str!("../../../resources/hosts/granite-rapids.json")),
        ("naples", include_str!("../../../resources/hosts/naples.json")),
        ("rome", include_str!("../../../resources/hosts/rome.json")),
        ("milan", include_str!("../../../resources/hosts/milan.json")),
        ("genoa", include_str!("../../../resources/hosts/genoa.json")),
        ("dhyana", include_str!("../../../resources/hosts/dhyana.json")),
    ]
    .map(server)
    .into()
}

/// Every recorded host.
pub(super) fn all() -> Vec<(&'static str, HostCpu)> {
    let lab = [("bochs-haswell", haswell()), ("qemu-tcg-epyc", epyc()), ("software-kvm", software())];
    lab.into_iter().chain(servers()).collect()
}

/// Hosts by makers that no recorded one is by: Zhaoxin, and two that nobody knows.
pub(super) fn strangers() -> Vec<(&'static str, HostCpu)> {
    let server = |name| servers().into_iter().find(|(server, _)| *server == name).unwrap().1;
    [
        ("zhaoxin", "broadwell-ep", "CentaurHauls", (7, 91, 0)),
        ("unknown-vmx", "ice-lake", "GenuineThird", (6, 200, 1)),
        ("unknown-svm", "genoa", "GenuineThird", (30, 1, 0)),
    ]
    .map(|(name, like, maker, signature)| (name, aged(made_by(server(like), maker), signature)))
    .into()
}

/// Some features taken from a host.
pub(super) fn without(mut host: HostCpu, features: FeatureSet) -> HostCpu {
    let mut capabilities = Capabilities { cpuid: host.supported, msrs: host.feature_msrs };
    features.iter().for_each(|id| capabilities.set(id.feature().place, false));
    (host.supported, host.feature_msrs) = (capabilities.cpuid, capabilities.msrs);
    host
}

/// A host by another maker, in the twelve letters of leaf 0.
pub(super) fn made_by(mut host: HostCpu, maker: &str) -> HostCpu {
    let (words, _) = maker.as_bytes().as_chunks();
    let &[ebx, edx, ecx] = words else { panic!("{maker:?} has not twelve letters") };
    let [ebx, edx, ecx] = [ebx, edx, ecx].map(u32::from_le_bytes);
    for function in [0, 0x8000_0000] {
        let leaf = host.supported.0.get_mut(&Leaf::new(function)).unwrap();
        *leaf = Registers { eax: leaf.eax, ebx, ecx, edx };
    }
    host
}

/// A host with another family, model and stepping.
pub(super) fn aged(mut host: HostCpu, (family, model, stepping): (u32, u32, u32)) -> HostCpu {
    let signature = Signature { family, model, stepping };
    host.supported.0.get_mut(&Leaf::new(1)).unwrap().eax = signature.encode();
    host
}

fn load(json: &str) -> HostCpu {
    serde_json::from_str(json).unwrap()
}

#[path = "testing_test.rs"]
mod tests;

/// The CPU of one vCPU that `spec` asks for.
pub(super) fn resolve(host: &HostCpu, spec: &str) -> Result<CpuProfile, CpuError> {
    CpuProfile::resolve(host, &spec.parse().unwrap(), &Topology::flat(1).unwrap())
}

/// The recorded server of this name.
pub(super) fn server(name: &str) -> HostCpu {
    servers().into_iter().find(|(server, _)| *server == name).unwrap().1
}

/// The feature of this name.
pub(super) fn id(name: &str) -> FeatureId {
    FeatureId::find(name).unwrap()
}

/// Returns whether a CPU has the feature of this name.
pub(super) fn has(profile: &CpuProfile, name: &str) -> bool {
    profile.features().contains(id(name))
}

/// Messages about what a CPU should have and lacks.
pub(super) fn unmet(profile: &CpuProfile) -> Vec<String> {
    profile.unmet().iter().map(ToString::to_string).collect()
}
