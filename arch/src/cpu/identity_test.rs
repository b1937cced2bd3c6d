use super::*;
use crate::cpu::{
    CpuError, cpuid::Registers, host::HostCpu, profile::CpuProfile, testing, topology::Topology,
};

fn resolve(host: &HostCpu, spec: &str) -> CpuProfile {
    CpuProfile::resolve(host, &spec.parse().unwrap(), &Topology::new(1, 1, 2, 2).unwrap()).unwrap()
}

fn leaf(host: &HostCpu, spec: &str, function: u32) -> Registers {
    resolve(host, spec).leaves(3).get(Leaf::new(function))
}

fn unmet(host: &HostCpu, spec: &str) -> Vec<String> {
    resolve(host, spec).unmet().iter().map(ToString::to_string).collect()
}

fn maker(registers: Registers) -> String {
    String::from_utf8_lossy(&registers.maker()).into_owned()
}

#[test]
fn a_cpu_has_the_maker_it_is_given() {
    for (name, host) in testing::all() {
        for model in ["host", "host-model", "Penryn"] {
            let spec = format!("{model},vendor=SomebodyElse");
            assert_eq!(maker(leaf(&host, &spec, 0)), "SomebodyElse", "{name}");
            let again = leaf(&host, &spec, EXTENDED);
            assert!(again.ebx == 0 || maker(again) == "SomebodyElse", "{name}: {again}");
        }
    }
}

/// A line that people start macOS with, on an AMD host.
#[test]
fn a_cpu_that_claims_to_be_intels_has_intels_leaves() {
    let (_, milan) = testing::servers().into_iter().find(|(name, _)| *name == "milan").unwrap();
    let words = "Penryn,kvm=on,vendor=GenuineIntel,+invtsc,vmware-cpuid-freq=on,+ssse3,+sse4.2,+popcnt,+avx,+aes,+xsave,+xsaveopt,check";
    let profile = resolve(&milan, words);
    let leaves = profile.leaves(3);
    assert_eq!(maker(leaves.get(Leaf::new(0))), "GenuineIntel");
    // Its caches are in leaf 4, with who shares them, and AMD's bits are not repeated.
    let l1 = leaves.get(Leaf::sub(4, 0));
    assert_eq!((l1.eax & 0x1f, l1.eax >> 14 & 0xfff, l1.eax >> 26), (1, 1, 1), "{l1}");
    assert_eq!(leaves.get(Leaf::new(EXTENDED + 1)).edx & 1, 0);
    // The other way round.
    let amd = resolve(&testing::haswell(), "EPYC,vendor=AuthenticAMD");
    assert_eq!(amd.leaves(0).get(Leaf::new(EXTENDED + 1)).edx & 1, 1);
}

#[test]
fn family_model_and_stepping_are_encoded() {
    let haswell = testing::haswell();
    for (words, eax) in [
        ("family=6,model=0x5e,stepping=3", 0x506e3),
        ("family=270,model=255,stepping=15", 0x0fff_0fff),
        ("family=15,model=0,stepping=0", 0xf00),
        ("family=0,model=16", 0x1_0001),
        ("stepping=9", 0x206a9),
    ] {
        let model = if words == "stepping=9" { "SandyBridge" } else { "Westmere" };
        assert_eq!(leaf(&haswell, &format!("{model},{words}"), 1).eax, eax, "{words}");
        assert_eq!(leaf(&haswell, &format!("{model},{words}"), EXTENDED + 1).eax, eax, "{words}");
    }
    // Intel's own leave the second place blank.
    assert_eq!(leaf(&haswell, "host,family=7", EXTENDED + 1).eax, leaf(&haswell, "host", EXTENDED + 1).eax);
    assert_eq!(leaf(&haswell, "host,family=7", 1).eax >> 8 & 0xf, 7);
    let epyc = testing::epyc();
    assert_eq!(
        leaf(&epyc, "host,family=25,model=1", EXTENDED + 1).eax,
        leaf(&epyc, "host,family=25,model=1", 1).eax
    );
}

#[test]
fn the_brand_is_the_users() {
    for (name, host) in testing::all() {
        for model in ["host", "qemu64", "EPYC", "pentium3"] {
            assert_eq!(
                resolve(&host, &format!("{model},model-id=One of mine")).brand(),
                "One of mine",
                "{name}: {model}"
            );
        }
    }
    assert_eq!(resolve(&testing::epyc(), "qemu64,model-id=x,xlevel=0x80000001").brand(), "");
}

#[test]
fn features_beyond_the_last_leaf_are_removed() {
    let haswell = testing::haswell();
    let profile = resolve(&haswell, "host,level=4");
    assert_eq!(profile.leaves(0).get(Leaf::new(0)).eax, 4);
    for gone in ["avx2", "smep", "xsave", "avx", "arat"] {
        assert!(!profile.features().contains(crate::cpu::feature::FeatureId::find(gone).unwrap()), "{gone}");
    }
    let said: Vec<_> = profile.decisions().iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("avx2 = 0x0 (level")), "{said:?}");
    assert_eq!(unmet(&haswell, "Haswell,level=4,+smep"), ["smep (hidden by level)"]);
    assert_eq!(leaf(&testing::epyc(), "host,xlevel=0x80000008,+svm", EXTENDED).eax, 0x8000_0008);
    assert_eq!(unmet(&testing::epyc(), "host,xlevel=0x80000008,+svm"), ["svm (hidden by xlevel)"]);
    // The topology asks for leaf 0BH, and the user's word counts.
    let dies = Topology::new(1, 2, 1, 1).unwrap();
    let profile = CpuProfile::resolve(&haswell, &"Haswell,level=7".parse().unwrap(), &dies).unwrap();
    assert_eq!(profile.leaves(0).get(Leaf::new(0)).eax, 7);
}

#[test]
fn leaves_may_be_more_than_a_model_has() {
    let haswell = testing::haswell();
    assert_eq!(leaf(&haswell, "pentium3,level=4", 0).eax, 4);
    assert_eq!(resolve(&haswell, "pentium3,level=4").leaves(0).get(Leaf::sub(4, 0)).eax & 0x1f, 1);
    assert_eq!(leaf(&haswell, "Haswell,min-level=0x1f", 0).eax, 0x1f);
    assert_eq!(leaf(&haswell, "Haswell,min-level=2", 0), leaf(&haswell, "Haswell", 0));
    assert_eq!(leaf(&haswell, "host,min-xlevel=0x8000001e", EXTENDED).eax, 0x8000_001e);
}

#[test]
fn addresses_have_the_part_that_a_guest_should_use() {
    let sapphire_rapids =
        || testing::servers().into_iter().find(|(name, _)| *name == "sapphire-rapids").unwrap().1;
    let widths = |spec: &str| leaf(&sapphire_rapids(), spec, 0x8000_0008).eax;
    assert_eq!(widths("host,guest-phys-bits=40") >> 16 & 0xff, 40);
    assert_eq!(widths("Haswell,guest-phys-bits=36") >> 16 & 0xff, 36);
    assert_eq!(widths("Haswell") >> 16, 0);
    // The host's goes down with the address.
    assert_eq!((widths("host") >> 16 & 0xff, widths("host,phys-bits=39") >> 16 & 0xff), (46, 39));
    let spec = "Haswell,guest-phys-bits=41".parse().unwrap();
    let error = CpuProfile::resolve(&sapphire_rapids(), &spec, &Topology::flat(1).unwrap()).unwrap_err();
    assert_eq!(error, CpuError::GuestPhysicalBits { given: 41, width: 40 });
}
