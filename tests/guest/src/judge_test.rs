use super::*;

fn machine(flags: &str, vmx_flags: &str) -> Facts {
    let [flags, vmx_flags] = [flags, vmx_flags].map(|list| list.split(' ').map(str::to_owned).collect());
    Facts { flags, vmx_flags, ..Facts::default() }
}

#[test]
fn flags_may_differ_only_as_listed() {
    let host = machine("fpu vmx avx2 monitor", "vnmi ple");
    let guest = machine("fpu vmx avx2 hypervisor", "vnmi pml");
    flags(Virtualization::Vmx, &host, &guest).unwrap();
    let error = flags(Virtualization::Vmx, &guest, &host).unwrap_err().to_string();
    assert_eq!(error, "lost: hypervisor; gained: monitor; lost of VMX: pml; gained of VMX: ple");
    let error = flags(Virtualization::Vmx, &host, &machine("fpu vmx", "vnmi")).unwrap_err().to_string();
    assert_eq!(error, "lost: avx2");
}

#[test]
fn every_reset_needs_its_boot_and_a_level_2() {
    let good = || Record { boots: 6, resets: 5, ran_level_2: true, ..Record::default() };
    resets(&good()).unwrap();
    for bad in [
        Record { boots: 7, ..good() },
        Record { boots: 5, resets: 4, ..good() },
        Record { ran_level_2: false, ..good() },
    ] {
        resets(&bad).unwrap_err();
    }
}
