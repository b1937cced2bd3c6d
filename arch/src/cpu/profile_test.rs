use super::*;
use crate::cpu::{
    cpuid::Registers,
    svm::Features,
    testing::{self, epyc, haswell, software},
    vmx::SecondaryControls,
};

const ECX_VMX: u32 = 1 << 5;
const ECX_SVM: u32 = 1 << 2;

fn resolve(host: &HostCpu, vcpus: u32) -> CpuProfile {
    CpuProfile::resolve(host, &CpuSpec::default(), &Topology::flat(vcpus).unwrap()).unwrap()
}

fn decided(profile: &CpuProfile) -> Vec<String> {
    profile.decisions().iter().map(ToString::to_string).collect()
}

#[test]
fn passthrough_is_the_host_but_for_its_place() {
    let host = haswell();
    let profile = resolve(&host, 1);
    let cpuid = Cpuid::from_entries(&profile.cpuid(0));
    for function in [0x2, 0x6, 0x7, 0xa, 0xd, 0x8000_0001, 0x8000_0006, 0x8000_0008, 0x4000_0000, 0x4000_0001]
    {
        assert!(cpuid.function(function).eq(host.supported.function(function)), "{function:#x}");
    }
    assert_eq!(profile.brand(), "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz");
    assert_eq!(resolve(&epyc(), 1).brand(), "AMD EPYC Processor");
}

#[test]
fn vmx_comes_with_its_msrs() {
    let profile = resolve(&haswell(), 2);
    assert_eq!(
        *profile.nesting(),
        Nesting::Vmx(
            SecondaryControls::EPT
                | SecondaryControls::VPID
                | SecondaryControls::UNRESTRICTED_GUEST
                | SecondaryControls::APICV_REGISTER
                | SecondaryControls::APICV_VID
                | SecondaryControls::SHADOW_VMCS
                | SecondaryControls::PML
        )
    );
    // Capability MSRs are left at KVM's own values.
    assert_eq!(profile.msrs(), [(0x8b, 1 << 32), (0x3a, 5)]);
    assert_eq!(Cpuid::from_entries(&profile.cpuid(1)).get(Leaf::new(1)).ecx & ECX_VMX, ECX_VMX);
}

#[test]
fn vmx_without_its_msrs_is_taken_away() {
    let mut host = haswell();
    host.feature_msrs.retain(|index, _| !(0x480..=0x491).contains(index));
    let profile = resolve(&host, 1);
    assert_eq!(*profile.nesting(), Nesting::None);
    assert_eq!(Cpuid::from_entries(&profile.cpuid(0)).get(Leaf::new(1)).ecx & ECX_VMX, 0);
    assert!(!profile.msrs().iter().any(|&(index, _)| index == msr::FEATURE_CONTROL));
    let line = "CPUID.01H:ECX[5] vmx = 0x0 (KVM has no VMX capability MSRs; KVM has 0x1)";
    assert!(decided(&profile).contains(&line.to_owned()), "{:#?}", decided(&profile));
}

#[test]
fn vmx_msrs_without_the_bit_are_not_touched() {
    let mut host = haswell();
    host.supported.0.get_mut(&Leaf::new(1)).unwrap().ecx &= !ECX_VMX;
    let profile = resolve(&host, 1);
    assert_eq!(*profile.nesting(), Nesting::None);
    assert_eq!(profile.msrs(), [(0x8b, 1 << 32)]);
}

#[test]
fn vmx_without_secondary_controls_has_no_ept() {
    let mut host = haswell();
    let (old, new) = msr::VMX_OLD_CONTROLS[1];
    for index in [old, new] {
        *host.feature_msrs.get_mut(&index).unwrap() &= !(1 << 63);
    }
    assert_eq!(*resolve(&host, 1).nesting(), Nesting::Vmx(SecondaryControls::empty()));
}

#[test]
fn svm_is_its_leaf() {
    let host = epyc();
    let profile = resolve(&host, 4);
    assert_eq!(*profile.nesting(), Nesting::Svm(Features::NPT | Features::VMCB_CLEAN | Features::VGIF));
    assert_eq!(profile.msrs(), [(0x8b, 0x0100_0065)]);
    let cpuid = Cpuid::from_entries(&profile.cpuid(3));
    assert_eq!(cpuid.get(Leaf::new(0x8000_000a)), host.supported.get(Leaf::new(0x8000_000a)));
    assert_eq!(cpuid.get(Leaf::new(0x8000_0001)).ecx & ECX_SVM, ECX_SVM);
}

#[test]
fn host_without_either_has_no_nesting() {
    let profile = resolve(&software(), 1);
    assert_eq!(*profile.nesting(), Nesting::None);
    assert_eq!(profile.msrs(), [(0x8b, 0x1_0000_0000)]);
    assert_eq!(profile.brand(), "Intel(R) Xeon(R) Processor");
}

#[test]
fn half_of_svm_is_taken_away() {
    let mut host = epyc();
    host.supported.remove(0x8000_000a);
    let profile = resolve(&host, 1);
    assert_eq!(*profile.nesting(), Nesting::None);
    assert_eq!(Cpuid::from_entries(&profile.cpuid(0)).get(Leaf::new(0x8000_0001)).ecx & ECX_SVM, 0);

    let mut host = epyc();
    host.supported.0.get_mut(&Leaf::new(0x8000_0001)).unwrap().ecx &= !ECX_SVM;
    let profile = resolve(&host, 1);
    assert_eq!(*profile.nesting(), Nesting::None);
    assert!(Cpuid::from_entries(&profile.cpuid(0)).get(Leaf::new(0x8000_000a)).is_zero());
}

#[test]
fn nesting_reads_well() {
    assert_eq!(resolve(&epyc(), 1).nesting().to_string(), "svm (npt, vmcb-clean, vgif)");
    let text = resolve(&haswell(), 1).nesting().to_string();
    assert!(text.starts_with("vmx (ept, vpid, unrestricted-guest, "), "{text}");
    assert_eq!(Nesting::None.to_string(), "none");
    let json = serde_json::to_string(resolve(&epyc(), 1).nesting()).unwrap();
    assert_eq!(json, r#"{"kind":"svm","features":["npt","vmcb-clean","vgif"]}"#);
}

#[test]
fn hypervisor_bits_follow_the_capabilities() {
    let mut host = haswell();
    for tsc_deadline in [false, true] {
        host.tsc_deadline = tsc_deadline;
        let ecx = Cpuid::from_entries(&resolve(&host, 1).cpuid(0)).get(Leaf::new(1)).ecx;
        assert_eq!(ecx >> 24 & 1, u32::from(tsc_deadline));
        assert_eq!((ecx >> 21 & 1, ecx >> 31), (1, 1));
    }
    let kvm_features =
        |vcpus| Cpuid::from_entries(&resolve(&host, vcpus).cpuid(0)).get(Leaf::new(0x4000_0001)).eax;
    assert_eq!(kvm_features(255), 0x0100_7efb);
    assert_eq!(kvm_features(256), 0x0100_fefb);
}

#[test]
fn large_ids_start_in_x2apic_mode() {
    let apic_base = |vcpus| {
        let mut sregs = kvm_sregs { apic_base: 0xfee0_0900, ..kvm_sregs::default() };
        resolve(&haswell(), vcpus).set_apic_mode(&mut sregs);
        sregs.apic_base
    };
    assert_eq!(apic_base(255), 0xfee0_0900);
    assert_eq!(apic_base(256), 0xfee0_0d00);
}

#[test]
fn intel_msr_stays_away_from_amd() {
    let host = epyc();
    let edx = |cpuid: &Cpuid| cpuid.get(Leaf::sub(0x7, 0)).edx;
    assert_eq!(edx(&host.supported) >> 29, 1);
    assert_eq!(edx(&Cpuid::from_entries(&resolve(&host, 1).cpuid(0))), 0);
}

#[test]
fn state_that_kvm_can_not_hide_is_distinguished() {
    let host = haswell();
    let spec = "host-passthrough,-xsave".parse().unwrap();
    let profile = CpuProfile::resolve(&host, &spec, &Topology::flat(1).unwrap()).unwrap();
    let mut read = profile.leaves(0);
    read.0.extend(host.supported.function(0xd));
    assert!(profile.verify(0, &read.to_entries()).iter().all(Mismatch::only_adds));
    // Features that were given are another thing.
    read.0.get_mut(&Leaf::sub(0x7, 0)).unwrap().ebx = 0;
    assert!(!profile.verify(0, &read.to_entries()).iter().all(Mismatch::only_adds));
    read.0.insert(Leaf::sub(0x7, 0), profile.leaves(0).get(Leaf::sub(0x7, 0)));
    read.0.get_mut(&Leaf::sub(0xd, 2)).unwrap().eax += 1;
    assert!(!profile.verify(0, &read.to_entries()).iter().all(Mismatch::only_adds));
}

#[test]
fn tiles_without_their_state_are_taken_away() {
    let (_, mut host) = testing::servers().into_iter().find(|(name, _)| *name == "granite-rapids").unwrap();
    let amx =
        |host: &HostCpu| resolve(host, 1).features().iter().filter(|id| id.name().starts_with("amx")).count();
    assert_eq!(amx(&host), 4);
    host.supported.0.get_mut(&Leaf::sub(0xd, 0)).unwrap().eax &= !(0b11 << 17);
    assert_eq!(amx(&host), 0);
    let line = "CPUID.(EAX=07H,ECX=0):EDX[24] amx-tile = 0x0 (leaf 0DH has no state for it; KVM has 0x1)";
    assert!(decided(&resolve(&host, 1)).contains(&line.to_owned()));
}

#[test]
fn no_feature_is_offered_without_its_state() {
    let (_, host) = testing::servers().into_iter().find(|(name, _)| *name == "granite-rapids").unwrap();
    let states = [
        (0, 2, "avx"),
        (0, 6, "avx512f"),
        (0, 9, "pku"),
        (0, 18, "amx-tile"),
        (1, 11, "cet-ss"),
        (1, 12, "cet-ibt"),
    ];
    for (subleaf, bit, feature) in states {
        let mut host = host.clone();
        let leaf = host.supported.0.get_mut(&Leaf::sub(0xd, subleaf)).unwrap();
        let mask = if subleaf == 0 { &mut leaf.eax } else { &mut leaf.ecx };
        assert_ne!(*mask & 1 << bit, 0, "{feature}");
        *mask &= !(1 << bit);
        let id = FeatureId::find(feature).unwrap();
        let lost = id.dependents() | FeatureSet::from_iter([id]);
        for spec in ["host-passthrough", "host-model", "GraniteRapids-v7,check=off"] {
            let profile =
                CpuProfile::resolve(&host, &spec.parse().unwrap(), &Topology::flat(1).unwrap()).unwrap();
            assert!((profile.features() & lost).is_empty(), "{spec} without the state of {feature}");
        }
    }
}

#[test]
fn without_512_bits_there_is_no_avx10() {
    let (_, host) = testing::servers().into_iter().find(|(name, _)| *name == "granite-rapids").unwrap();
    for model in ["host-passthrough", "host-model", "GraniteRapids-v7,check=off"] {
        let leaves = |spec: &str| {
            let profile = CpuProfile::resolve(&host, &spec.parse().unwrap(), &Topology::flat(1).unwrap());
            profile.unwrap().leaves(0)
        };
        let avx10 = |cpuid: &Cpuid| cpuid.get(Leaf::sub(0x7, 1)).edx >> 19 & 1;
        let whole = leaves(model);
        assert_eq!((avx10(&whole), whole.function(0x24).count() > 0), (1, true), "{model}");
        let less = leaves(&format!("{model},-avx512f"));
        assert_eq!((avx10(&less), less.function(0x24).count()), (0, 0), "{model}");
    }
}

#[test]
fn addresses_of_models_are_as_wide_as_qemus() {
    for (model, bits) in
        [("coreduo", 36), ("486", 32), ("pentium", 32), ("pentium2", 36), ("kvm32", 36), ("qemu64", 40)]
    {
        let spec = format!("{model},check=off").parse().unwrap();
        for host in [haswell(), testing::servers().pop().unwrap().1] {
            let profile = CpuProfile::resolve(&host, &spec, &Topology::flat(1).unwrap()).unwrap();
            let host = host.physical_address_width();
            assert_eq!(profile.physical_address_width(), bits.min(host), "{model}");
        }
    }
}

#[test]
fn decisions_name_every_change() {
    let host = haswell();
    assert_eq!(
        decided(&resolve(&host, 2)),
        [
            "CPUID.01H:ECX[24] tsc-deadline = 0x1 (hypervisor; KVM has 0x0)",
            "CPUID.01H:ECX[31] hypervisor = 0x1 (hypervisor; KVM has 0x0)",
            "CPUID.01H:EDX[28] ht = 0x1 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=0):EBX[15:0] logical processors = 0x1 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=0):ECX[15:0] level type and number = 0x100 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=1):EAX[4:0] apic id shift = 0x1 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=1):EBX[15:0] logical processors = 0x2 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=1):ECX[15:0] level type and number = 0x201 (topology; KVM has 0x0)",
            "CPUID.(EAX=0BH,ECX=2):ECX[15:0] level type and number = 0x2 (topology; KVM has 0x0)",
            "CPUID.01H:EBX[23:16] logical processors per package = 0x2 (topology; KVM has 0x1)",
            "CPUID.(EAX=04H,ECX=0):EAX[25:14] logical processors sharing cache, minus one = 0x0 (topology; KVM has 0x1)",
            "CPUID.(EAX=04H,ECX=0):EAX[31:26] cores per package, minus one = 0x1 (topology; KVM has 0x7)",
            "CPUID.(EAX=04H,ECX=1):EAX[25:14] logical processors sharing cache, minus one = 0x0 (topology; KVM has 0x1)",
            "CPUID.(EAX=04H,ECX=1):EAX[31:26] cores per package, minus one = 0x1 (topology; KVM has 0x7)",
            "CPUID.(EAX=04H,ECX=2):EAX[25:14] logical processors sharing cache, minus one = 0x0 (topology; KVM has 0x1)",
            "CPUID.(EAX=04H,ECX=2):EAX[31:26] cores per package, minus one = 0x1 (topology; KVM has 0x7)",
            "CPUID.(EAX=04H,ECX=3):EAX[25:14] logical processors sharing cache, minus one = 0x1 (topology; KVM has 0xf)",
            "CPUID.(EAX=04H,ECX=3):EAX[31:26] cores per package, minus one = 0x1 (topology; KVM has 0x7)",
            "MSR 0x8b microcode revision = 0x100000000 (hypervisor; KVM has 0x0)",
            "MSR 0x3a feature control: locked, VMX outside SMX = 0x5 (hypervisor; KVM has 0x0)",
        ]
    );
    let json = serde_json::to_string(&resolve(&host, 1).decisions().last()).unwrap();
    assert_eq!(
        json,
        r#"{"place":"MSR 0x3a","name":"feature control: locked, VMX outside SMX","value":5,"host":0,"why":"hypervisor"}"#
    );
}

#[test]
fn resolving_a_resolved_cpu_changes_nothing() {
    for mut host in [haswell(), epyc(), software()] {
        let first = resolve(&host, 3).cpuid(0);
        host.supported = Cpuid::from_entries(&first);
        assert_eq!(resolve(&host, 3).cpuid(0), first);
    }
}

#[test]
fn unusable_hosts_are_refused() {
    let resolve = |host: &HostCpu| {
        let topology = Topology::flat(1).unwrap();
        CpuProfile::resolve(host, &CpuSpec::default(), &topology).unwrap_err()
    };
    assert_eq!(resolve(&HostCpu::default()), CpuError::MissingLeaf(Leaf::new(0)));
    let mut host = haswell();
    let many = (0..256).map(|index| (Leaf::sub(0x20, index), Registers::default()));
    host.supported.0.extend(many);
    assert!(matches!(resolve(&host), CpuError::TooManyLeaves(_)));
}

#[test]
fn read_back_may_differ_in_live_bits_only() {
    let profile = resolve(&haswell(), 2);
    let mut read = profile.cpuid(1);
    assert_eq!(profile.verify(1, &read), []);
    assert_ne!(profile.verify(0, &read), []);
    let leaf = |entries: &mut Vec<kvm_cpuid_entry2>, function| {
        entries.iter().position(|entry| entry.function == function).unwrap()
    };
    let features = leaf(&mut read, 1);
    read[features].ecx ^= 1 << 27;
    let xsave = leaf(&mut read, 0xd);
    read[xsave].ebx = 576;
    assert_eq!(profile.verify(1, &read), []);

    read[features].ecx &= !ECX_VMX;
    let gone = leaf(&mut read, 0x6);
    read.remove(gone);
    let lines: Vec<_> = profile.verify(1, &read).iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("CPUID.01H:ECX is 0x"), "{}", lines[0]);
    assert_eq!(lines[1], "CPUID.06H:EAX is 0x0 and not 0x4");
}

#[test]
fn added_features_are_distinguished() {
    let profile = resolve(&epyc(), 1);
    let mismatches = |change: fn(&mut kvm_cpuid_entry2)| {
        let mut read = profile.cpuid(0);
        read.iter_mut().for_each(change);
        let added: Vec<_> = profile.verify(0, &read).iter().map(Mismatch::only_adds).collect();
        added
    };
    let set = |entry: &mut kvm_cpuid_entry2| match entry.function {
        // AVX-512 and PREFETCHWT1.
        0x7 => (entry.ebx, entry.ecx) = (entry.ebx | 1 << 16, entry.ecx | 1),
        // VMX, which is not for KVM to add.
        0x1 => entry.ecx |= 1 << 5,
        // NC is no feature.
        0x8000_0008 => entry.ecx |= 1,
        _ => {}
    };
    assert_eq!(mismatches(set), [false, true, true, false]);
    let clear = |entry: &mut kvm_cpuid_entry2| {
        if entry.function == 0x7 {
            entry.ebx = 1 << 16;
        }
    };
    assert_eq!(mismatches(clear), [false]);
}

#[test]
fn the_microcode_revision_is_never_0() {
    for (name, mut host) in testing::all() {
        let own = host.feature_msrs.get(&msr::BIOS_SIGN_ID).copied();
        let usual = if host.manual() == Manual::Amd { 0x0100_0065 } else { 1 << 32 };
        for hosts in [own, Some(0), None] {
            match hosts {
                Some(revision) => host.feature_msrs.insert(msr::BIOS_SIGN_ID, revision),
                None => host.feature_msrs.remove(&msr::BIOS_SIGN_ID),
            };
            for (cpu, want) in
                [("host", hosts.filter(|&revision| revision > 0).unwrap_or(usual)), ("qemu64", usual)]
            {
                let profile =
                    CpuProfile::resolve(&host, &cpu.parse().unwrap(), &Topology::flat(1).unwrap()).unwrap();
                assert_eq!(
                    profile.msrs().first(),
                    Some(&(msr::BIOS_SIGN_ID, want)),
                    "{name}, which has {hosts:x?}: {cpu}"
                );
            }
        }
    }
}

/// A machine that was decided on with one host, restored on another, and reset there.
#[test]
fn on_another_host_its_capabilities_are_written() {
    let [old, new] = ["broadwell-ep", "granite-rapids"].map(testing::server);
    let mut cpu = testing::resolve(&old, "host-model").unwrap();
    let planned = cpu.msrs().to_vec();
    cpu.run_on(&old);
    assert_eq!(cpu.msrs(), planned, "its own host has nothing to be told");
    cpu.run_on(&new);
    let written: BTreeMap<u32, u64> = cpu.msrs().iter().copied().collect();
    assert_eq!(written.len(), cpu.msrs().len(), "each once: {:x?}", cpu.msrs());
    for (index, value) in cpu.capability_msrs() {
        let made = [0x481, 0x482, 0x483, 0x484, 0x489].contains(index);
        if !made && new.feature_msrs.get(index) != Some(value) {
            assert_eq!(written.get(index), Some(value), "MSR {index:#x}");
        }
    }
    assert!(written.contains_key(&0x48b) && cpu.msrs().last().unwrap().0 == msr::FEATURE_CONTROL);
}
