use super::*;
use crate::cpu::{
    host::HostCpu,
    lacking::Lacking,
    testing::{haswell, resolve, server},
};

/// The parts of a guest's CPU that `from` gave and `to` lacks.
fn missing(from: &HostCpu, spec: &str, to: &HostCpu) -> Vec<String> {
    let cpu = resolve(from, spec).unwrap();
    let features: Vec<_> = cpu.features().iter().map(|id| id.name().to_owned()).collect();
    Lacking::new(to).unwrap().of_cpu(&features, &cpu.leaves(0), cpu.capability_msrs())
}

/// A host like `haswell` with another value of an MSR.
fn changed(index: u32, change: impl Fn(u64) -> u64) -> HostCpu {
    let mut host = haswell();
    let value = host.feature_msrs.get_mut(&index).unwrap();
    *value = change(*value);
    host
}

#[test]
fn each_bit_of_a_vmx_msr_counts_as_kvm_counts_it() {
    // The MSR; what becomes of it on the other host; what the guest lacks there.
    type Row = (u32, fn(u64) -> u64, &'static [&'static str]);
    let rows: [Row; 17] = [
        (0x480, |value| value + 1, &["MSR(480H)[30:0] = 0x11e57ed0 (this host has 0x11e57ed1)"]),
        (0x480, |value| value + (1 << 32), &["MSR(480H)[44:32] = 0x1000 (this host has 0x1001)"]),
        (0x480, |value| value - (1 << 32), &[]),
        (0x480, |value| value & !(1 << 54), &["vmx-ins-outs (MSR(480H)[54])"]),
        (0x480, |value| value | 1 << 60, &[]),
        // The preemption timer's rate; HLT as an activity state; CR3-target values.
        (0x485, |value| value + 1, &["MSR(485H)[4:0] = 0x5 (this host has 0x6)"]),
        (0x485, |value| value & !(1 << 6), &["vmx-activity-hlt (MSR(485H)[6])"]),
        (0x485, |value| value | 4 << 16, &[]),
        // A bit of CR0 that may not stay 0 there.
        (0x486, |value| value | 1 << 30, &["MSR(486H)[30] = 0"]),
        (0x486, |value| value & !1, &[]),
        (0x48a, |_| 0, &[]),
        // Three controls: one that neither the host nor the guest has, one with a name, and one without.
        (0x48e, |value| value & !(1 << (32 + 27)), &[]),
        (0x48e, |value| value & !(1 << (32 + 22)), &["vmx-vnmi-pending (MSR(48EH)[22])"]),
        (0x48d, |value| value & !(1 << (32 + 2)), &["MSR(48DH)[34] = 1"]),
        (0x48d, |value| value | 1 << 6, &["vmx-preemption-timer (MSR(48DH)[6])"]),
        (0x48c, |value| value & !(1 << 6), &["vmx-page-walk-4 (MSR(48CH)[6])"]),
        (0x48c, |value| value & !(1 << 8), &[]),
    ];
    for (index, change, expected) in rows {
        let lacking = missing(&haswell(), "host-passthrough", &changed(index, change));
        assert_eq!(lacking, expected, "MSR {index:#x}");
    }
}

#[test]
fn state_lies_where_the_processor_puts_it() {
    let host = server("sapphire-rapids");
    let mut other = host.clone();
    other.supported.0.get_mut(&Leaf::sub(0xd, 9)).unwrap().ebx += 64;
    assert_eq!(
        missing(&host, "host-passthrough", &other),
        ["state 9 of XSAVE of pku with 8 bytes at 2688 (this host has 8 at 2752)"]
    );
    // One that is not in the guest's CPU may lie anywhere.
    assert_eq!(missing(&host, "host-passthrough,-pku", &other), [""; 0]);
}

#[test]
fn counters_and_further_bits_of_kvm_are_reported() {
    let host = server("ice-lake");
    let mut fewer = host.clone();
    fewer.supported.0.get_mut(&Leaf::new(0xa)).unwrap().eax -= 1 << 8;
    fewer.supported.0.get_mut(&Leaf::new(0x4000_0001)).unwrap().eax &= !(1 << 7);
    let lacking = missing(&host, "host-passthrough", &fewer);
    assert_eq!(lacking.len(), 2, "{lacking:?}");
    assert!(lacking[0].contains("kvm-pv-unhalt"), "{lacking:?}");
    assert!(lacking[1].contains("performance counters"), "{lacking:?}");
    assert_eq!(missing(&host, "host-passthrough,pmu=off,-kvm-pv-unhalt", &fewer), [""; 0]);
    // A bit without a name.
    let mut more = host.clone();
    more.supported.0.get_mut(&Leaf::new(0x4000_0001)).unwrap().eax |= 1 << 30;
    assert_eq!(missing(&more, "host-passthrough", &host), ["CPUID.40000001H:EAX[30]"]);
}
