use super::*;
use crate::cpu::{
    cpuid::Leaf,
    host::HostCpu,
    model, msr,
    profile::CpuProfile,
    svm,
    testing::{self, epyc, has, haswell, id, resolve, server, software, unmet},
    topology::Topology,
    vendor::Vendor,
};

fn with(host: &HostCpu, model: &str, settings: &[(&str, Want)]) -> Result<CpuProfile, CpuError> {
    let settings = settings.iter().map(|&(name, want)| Setting { feature: id(name), want }).collect();
    let spec = CpuSpec { model: model.parse().unwrap(), settings, ..CpuSpec::default() };
    CpuProfile::resolve(host, &spec, &Topology::flat(1).unwrap())
}

#[test]
fn no_model_nests_unless_requested() {
    for (name, host) in testing::all() {
        for model in model::all() {
            let profile = resolve(&host, &model.name).unwrap();
            assert!(!has(&profile, "vmx") && !has(&profile, "svm"), "{name}: {}", model.name);
        }
    }
    assert!(has(&resolve(&haswell(), "qemu64,+vmx").unwrap(), "vmx"));
    assert!(has(&resolve(&epyc(), "qemu64,+svm").unwrap(), "npt"));
}

#[test]
fn a_models_vmx_features_count() {
    // Penryn has no EPT, and qemu64 says nothing.
    let profile = resolve(&server("cascade-lake"), "core2duo,+vmx").unwrap();
    assert!(has(&profile, "vmx-vnmi") && !has(&profile, "vmx-ept"), "{:?}", profile.features());
    assert!(has(&resolve(&server("cascade-lake"), "qemu64,+vmx").unwrap(), "vmx-ept"));
    assert!(has(&resolve(&server("cascade-lake"), "core2duo,+vmx,+vmx-ept").unwrap(), "vmx-ept"));
}

#[test]
fn svm_without_any_of_its_parts_has_its_leaf() {
    let parts: Vec<_> = SVM_PARTS.iter().map(|id| format!(",-{id}")).collect();
    let profile = resolve(&epyc(), &format!("Opteron_G1,+svm{}", parts.concat())).unwrap();
    assert!(has(&profile, "svm") && profile.leaves(0).covers(svm::FUNCTION));
}

#[test]
fn controls_of_ept_are_left_out_without_ept() {
    let cap = |spec| resolve(&haswell(), spec).unwrap().capability_msrs()[&msr::VMX_EPT_VPID_CAP];
    let whole = cap("host-passthrough");
    assert_ne!(whole & 0xffff_ffff, 0);
    assert_eq!(cap("host-passthrough,-vmx-ept"), whole & !0xffff_ffff);
    assert_eq!(cap("host-passthrough,-vmx-vpid"), whole & 0xffff_ffff);
}

#[test]
fn a_hint_needs_nothing_of_kvm() {
    for host in [epyc(), haswell()] {
        assert!(!has(&resolve(&host, "host-model").unwrap(), "kvm-hint-dedicated"));
        assert!(has(&resolve(&host, "qemu64,+kvm-hint-dedicated,enforce").unwrap(), "kvm-hint-dedicated"));
    }
}

#[test]
fn topology_can_be_reported_on_any_amd() {
    let profile = |spec: &str, threads| {
        let topology = Topology::new(1, 1, 2, threads).unwrap();
        CpuProfile::resolve(&epyc(), &spec.parse().unwrap(), &topology).unwrap()
    };
    assert!(!has(&profile("host-passthrough", 1), "topoext"));
    assert!(profile("host-passthrough", 2).hides_topology());
    assert!(!profile("host-passthrough", 1).hides_topology());
    let told = profile("host-passthrough,+topoext,enforce", 2);
    assert!(has(&told, "topoext") && !told.hides_topology());
    assert_eq!(told.leaves(3).get(Leaf::new(0x8000_001e)).eax, 3);
    assert_eq!(unmet(&resolve(&haswell(), "host,+topoext").unwrap()), ["topoext (CPUID.80000001H:ECX[22])"]);
}

#[test]
fn dependent_features_are_removed_together() {
    let host = server("cascade-lake");
    let profile = resolve(&host, "host-passthrough,-avx").unwrap();
    assert!(!has(&profile, "avx2") && !has(&profile, "avx512f") && has(&profile, "sse4.2"));
    assert_eq!(profile.why(id("avx")), Why::Feature);
    assert_eq!(profile.why(id("avx2")), Why::Needs("avx"));
    assert_eq!(profile.unmet(), []);
    // Asked for all the same.
    assert_eq!(unmet(&resolve(&host, "host-passthrough,-avx,+avx2").unwrap()), ["avx2 (needs avx)"]);
    let lonely = resolve(&host, "Haswell-noTSX,+vmx-ept").unwrap();
    assert_eq!(unmet(&lonely), ["vmx-ept (needs vmx-secondary-ctls)"]);
    assert!(has(&resolve(&host, "host-passthrough,-avx,+avx").unwrap(), "avx2"));
}

#[test]
fn all_missing_features_are_named_at_once() {
    let profile = resolve(&epyc(), "Opteron_G3,+vmx,+avx512f,check").unwrap();
    let missing = unmet(&profile);
    assert!(missing.contains(&"vmx (CPUID.01H:ECX[5])".to_owned()), "{missing:?}");
    assert!(missing.iter().all(|line| !line.starts_with("vmx-")), "{missing:?}");
    let Err(CpuError::Unmet(refused)) = resolve(&epyc(), "Opteron_G3,+vmx,+avx512f,enforce") else {
        panic!()
    };
    assert_eq!(refused, profile.unmet());
    assert_eq!(resolve(&epyc(), "Opteron_G3,+vmx,check=off").unwrap().unmet(), []);
}

#[test]
fn policies_are_libvirts() {
    let host = haswell();
    let ok = |settings: &[_]| with(&host, "Nehalem", settings).unwrap();
    let error = |settings: &[_]| with(&host, "Nehalem", settings).unwrap_err().to_string();
    assert_eq!(error(&[("svm", Want::Require)]), "this host cannot give svm (CPUID.80000001H:ECX[2])");
    assert_eq!(unmet(&ok(&[("svm", Want::Optional)])), [""; 0]);
    assert!(has(
        &ok(&[("avx2", Want::Optional), ("avx", Want::Optional), ("xsave", Want::Optional)]),
        "avx2"
    ));
    assert_eq!(error(&[("avx2", Want::Forbid)]), "this host has what is forbidden: avx2");
    assert!(!has(&ok(&[("avx512f", Want::Forbid)]), "avx512f"));
    let forced = ok(&[("3dnow", Want::Force)]);
    assert!(has(&forced, "3dnow") && forced.unmet().is_empty());
    assert_eq!(error(&[("svm", Want::Force)]), "svm can't be forced: KVM gives it only if the host has it");
}

#[test]
fn cpus_may_be_better_or_not() {
    let host = haswell();
    let spec = |matching| CpuSpec { model: "Nehalem".parse().unwrap(), matching, ..CpuSpec::default() };
    let resolve = |matching| CpuProfile::resolve(&host, &spec(matching), &Topology::flat(1).unwrap());
    assert!(!has(&resolve(Match::Exact).unwrap(), "avx2"));
    assert!(has(&resolve(Match::Minimum).unwrap(), "avx2"));
    let error = resolve(Match::Strict).unwrap_err().to_string();
    assert!(
        error.starts_with("this host has more than what is described: ") && error.contains("avx2"),
        "{error}"
    );
    let vendor = CpuSpec { vendor: Some(Vendor::Amd), ..CpuSpec::default() };
    let error = CpuProfile::resolve(&host, &vendor, &Topology::flat(1).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "this host's processor is not made by AMD");
}

#[test]
fn nesting_is_one_switch() {
    let resolve = |host: &HostCpu, model: &str, nested| {
        let spec = CpuSpec { model: model.parse().unwrap(), nested, ..CpuSpec::default() };
        CpuProfile::resolve(host, &spec, &Topology::flat(1).unwrap())
    };
    for host in [haswell(), epyc()] {
        assert_eq!(resolve(&host, "host", Nested::Off).unwrap().nesting().name(), "none");
        assert_eq!(resolve(&host, "qemu64", Nested::Auto).unwrap().nesting().name(), "none");
        assert_ne!(resolve(&host, "qemu64", Nested::On).unwrap().nesting().name(), "none");
    }
    assert_eq!(resolve(&software(), "host", Nested::On).unwrap_err(), CpuError::NoNesting);
}
