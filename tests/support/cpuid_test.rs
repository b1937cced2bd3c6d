use super::*;

const GUEST: &str = "\
cpu
0 0 b 756e6547 6c65746e 49656e69
1 0 306c3 1040800 80000001 78bfbff
b 0 0 1 100 1
b 1 1 2 201 1
b 2 0 0 2 1
b 3 0 0 3 1
80000000 0 b 756e6547 6c65746e 49656e69
cpu
0 0 b 756e6547 6c65746e 49656e69
1 0 306c3 40800 80000001 78bfbff
msr 480 d8100011e57ed0
msr 491 #GP
";

const RAW: &str = "\
0x00000000 0x00: eax=0x0000000b ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69
0x00000001 0x00: eax=0x000306c3 ebx=0x01040800 ecx=0x80000001 edx=0x078bfbff
0x00000002 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000
0x0000000b 0x00: eax=0x00000000 ebx=0x00000001 ecx=0x00000100 edx=0x00000001
0x0000000b 0x01: eax=0x00000001 ebx=0x00000002 ecx=0x00000201 edx=0x00000001
0x0000000b 0x02: eax=0x00000000 ebx=0x00000000 ecx=0x00000002 edx=0x00000001
MSR 0x10a: 0x0000000000000001
";

#[test]
fn a_guest_and_nvmm_say_the_same_in_two_ways() {
    let guest = GUEST.replace("msr 491 #GP\n", "");
    let cpus = Cpu::of_guest(&guest).unwrap();
    assert_eq!(cpus.len(), 2);
    // By APIC ID.
    assert_eq!(cpus[0].vmx, [(0x480, 0x00d8_1000_11e5_7ed0)].into());
    let shown = Cpu::of_raw(RAW).unwrap();
    // Missing levels, and a processor's answer to missing extended functions, don't count as leaves.
    assert_eq!(shown.differences(&cpus[1]), Vec::<String>::new());
}

#[test]
fn every_difference_is_reported() {
    let shown = Cpu::of_raw(&format!("{RAW}MSR 0x480: 0x0000000000000002\n")).unwrap();
    let found = RAW.replace("edx=0x078bfbff", "edx=0x078bfbfe").replace("ebx=0x00000002", "ebx=0x00000004");
    let found =
        Cpu::of_raw(&found.replace("0x00000002 0x00: eax=0x00000000", "0x00000002 0x00: eax=0x00000001"))
            .unwrap();
    assert_eq!(
        shown.differences(&found),
        [
            "CPUID.01H:EDX is 0x78bf9fe and not 0x78bf9ff",
            "CPUID.02H:EAX is 0x1 and not 0x0",
            "CPUID.(EAX=0BH,ECX=1):EBX is 0x4 and not 0x2",
            "MSR 0x480 is None and not Some(2)",
        ]
    );
}

#[test]
fn meaningless_output_is_refused() {
    for output in ["1 0 2 3 4 5", "cpu\n1 0 2 3 4", "cpu\nnvmm: text", GUEST] {
        Cpu::of_guest(output).unwrap_err();
    }
    for output in ["CPU", "0x1 0x0: eax=1", "MSR 480: 0x1"] {
        Cpu::of_raw(output).unwrap_err();
    }
}
