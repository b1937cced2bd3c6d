use super::*;
use crate::cpu::{
    cpuid::{Cpuid, Leaf},
    profile::CpuProfile,
    spec::CpuSpec,
    topology::Topology,
    vendor::{Manual, Vendor},
};

/// SDM 1, "Layout of the XSAVE Area": the legacy region and the header come before all components.
const HEADER_END: u32 = 576;
const ECX_VMX: u32 = 1 << 5;
const ECX_SVM: u32 = 1 << 2;

/// A component of the XSAVE area: its number and what leaf 0DH says of it.
#[derive(Debug)]
struct Component {
    number: u32,
    size: u32,
    offset: u32,
    supervisor: bool,
    aligned: bool,
}

/// The components of XCR0 and IA32_XSS beyond x87 and SSE, and the two masks.
fn components(cpuid: &Cpuid) -> (Vec<Component>, u64, u64) {
    let [xcr0, xss] = [cpuid.get(Leaf::sub(0xd, 0)), cpuid.get(Leaf::sub(0xd, 1))];
    let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let found = cpuid.function(0xd).filter_map(|(leaf, registers)| {
        let number = leaf.index.filter(|&number| number > 1)?;
        Some(Component {
            number,
            size: registers.eax,
            offset: registers.ebx,
            supervisor: registers.ecx & 1 != 0,
            aligned: registers.ecx & 2 != 0,
        })
    });
    (found.collect(), wide(xcr0.edx, xcr0.eax), wide(xss.edx, xss.ecx))
}

#[test]
fn servers_have_the_processors_of_their_names() {
    let expected = [
        ("broadwell-ep", Vendor::Intel, 46, "Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz"),
        ("cascade-lake", Vendor::Intel, 46, "Intel(R) Xeon(R) Silver 4214R CPU @ 2.40GHz"),
        ("ice-lake", Vendor::Intel, 46, "Intel(R) Xeon(R) Processor @ 2.90GHz"),
        ("sapphire-rapids", Vendor::Intel, 46, "Intel(R) Xeon(R) Bronze 3408U"),
        ("granite-rapids", Vendor::Intel, 52, "Intel(R) Xeon(R) 6788P"),
        ("naples", Vendor::Amd, 48, "AMD EPYC 7601 32-Core Processor"),
        ("rome", Vendor::Amd, 48, "AMD EPYC 7502 32-Core Processor"),
        ("milan", Vendor::Amd, 48, "AMD EPYC 7713 64-Core Processor"),
        ("genoa", Vendor::Amd, 52, "AMD EPYC 9334 32-Core Processor"),
        ("dhyana", Vendor::Hygon, 48, "Hygon C86 7185 32-core Processor"),
    ];
    assert_eq!(servers().len(), expected.len());
    for ((name, host), (same, vendor, width, brand)) in servers().into_iter().zip(expected) {
        assert_eq!(name, same);
        assert_eq!(host.vendor(), vendor, "{name}");
        assert_eq!(host.physical_address_width(), width, "{name}");
        let profile = CpuProfile::resolve(&host, &CpuSpec::default(), &Topology::flat(3).unwrap()).unwrap();
        assert_eq!(profile.brand().trim_end(), brand, "{name}");
    }
}

#[test]
fn all_have_the_leaves_up_to_their_greatest() {
    for (name, host) in all() {
        for base in [0, 0x8000_0000] {
            let last = host.supported.get(Leaf::new(base)).eax;
            for function in base..=last {
                assert!(host.supported.function(function).next().is_some(), "{name}: {function:#x}");
            }
            let beyond = host.supported.function(last + 1).next();
            assert_eq!(beyond, None, "{name}");
        }
        // KVM's own leaves.
        assert_eq!(host.supported.get(Leaf::new(0x4000_0000)).eax, 0x4000_0001, "{name}");
    }
}

#[test]
fn xsave_areas_are_as_large_as_their_components() {
    for (name, host) in all() {
        let (components, xcr0, xss) = components(&host.supported);
        let listed = components.iter().fold(0, |mask, component| mask | 1 << component.number);
        assert_eq!(listed, (xcr0 | xss) & !3, "{name}");
        assert_eq!(xcr0 & xss, 0, "{name}");

        let mut standard = HEADER_END;
        let mut compacted = HEADER_END;
        for Component { number, size, offset, supervisor, aligned } in components {
            assert_ne!(size, 0, "{name}: {number}");
            assert_eq!(xss & 1 << number != 0, supervisor, "{name}: {number}");
            if supervisor {
                assert_eq!(offset, 0, "{name}: {number}");
            } else {
                assert!(offset >= HEADER_END, "{name}: {number}");
                standard = standard.max(offset + size);
            }
            compacted = if aligned { compacted.next_multiple_of(64) } else { compacted } + size;
        }
        let whole = host.supported.get(Leaf::sub(0xd, 0));
        assert_eq!([whole.ebx, whole.ecx], [standard; 2], "{name}");
        // XSAVEC and XSAVES have the compacted form.
        let extensions = host.supported.get(Leaf::sub(0xd, 1));
        if extensions.eax & 0b1010 != 0 {
            assert_eq!(extensions.ebx, compacted, "{name}");
        }
    }
}

#[test]
fn servers_nest() {
    for (name, host) in servers() {
        let svm = host.supported.get(Leaf::new(0x8000_000a));
        let has_vmx = host.supported.get(Leaf::new(1)).ecx & ECX_VMX != 0;
        let has_svm = host.supported.get(Leaf::new(0x8000_0001)).ecx & ECX_SVM != 0;
        assert_eq!(has_vmx, host.manual() == Manual::Intel, "{name}");
        assert_eq!(has_svm, host.manual() == Manual::Amd, "{name}");
        assert_eq!(svm.is_zero(), has_vmx, "{name}");
        assert_eq!((0x480..=0x491).all(|index| host.feature_msrs.contains_key(&index)), has_vmx, "{name}");
        assert!(host.nested_state, "{name}");
    }
}

/// SDM 3D, "VMX Capability Reporting Facility": what must be 1 may be, and the "true" MSRs relax only what must be.
#[test]
fn vmx_controls_may_be_what_they_must_be() {
    let halves = |value: u64| (value & u64::from(u32::MAX), value >> 32);
    for (name, host) in all() {
        if !host.feature_msrs.contains_key(&0x480) {
            continue;
        }
        for (plain, true_) in [(0x481, 0x48d), (0x482, 0x48e), (0x483, 0x48f), (0x484, 0x490)] {
            let (must, may) = halves(host.feature_msrs[&plain]);
            let (must_truly, may_truly) = halves(host.feature_msrs[&true_]);
            assert_eq!(must & !may, 0, "{name}: {plain:#x}");
            assert_eq!(must_truly & !must, 0, "{name}: {true_:#x}");
            assert_eq!(may_truly, may, "{name}: {true_:#x}");
        }
        assert_eq!(halves(host.feature_msrs[&0x48b]).0, 0, "{name}");
        for (fixed0, fixed1) in [(0x486, 0x487), (0x488, 0x489)] {
            assert_eq!(host.feature_msrs[&fixed0] & !host.feature_msrs[&fixed1], 0, "{name}");
        }
    }
}
