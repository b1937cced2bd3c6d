//! Features of KVM for its guests: Linux, Documentation/virt/kvm/x86/cpuid.rst.

use super::{
    super::cpuid::{Leaf, Register},
    row::Feature,
};

pub(super) const FEATURES: &[Feature] = &[
    // Leaf 4000_0001h, EAX.
    eax(0, "kvmclock", "clock page, by the old MSRs").with(&["kvmclock2"]),
    eax(1, "kvm-nopiodelay", "no delays between port accesses"),
    eax(2, "kvm-mmu", "page-table writes by hypercall"),
    eax(3, "kvmclock2", "clock page, by the new MSRs"),
    eax(4, "kvm-asyncpf", "page-ins while the guest runs on"),
    eax(5, "kvm-steal-time", "time that others took"),
    eax(6, "kvm-pv-eoi", "interrupts ended without exits").needs(&["apic"]),
    eax(7, "kvm-pv-unhalt", "halted waiters are kicked").needs(&["apic"]),
    eax(9, "kvm-pv-tlb-flush", "TLB flush of sleeping vCPUs later"),
    eax(10, "kvm-asyncpf-vmexit", "asynchronous page-ins reach L1").needs(&["kvm-asyncpf"]),
    eax(11, "kvm-pv-ipi", "many IPIs by one hypercall").needs(&["apic"]),
    eax(12, "kvm-poll-control", "guests switch off polling by the host"),
    eax(13, "kvm-pv-sched-yield", "yield to a preempted vCPU"),
    eax(14, "kvm-asyncpf-int", "page-ins told by interrupt").needs(&["kvm-asyncpf"]),
    eax(15, "kvm-msi-ext-dest-id", "MSI destinations of 15 bits"),
    eax(24, "kvmclock-stable-bit", "clock that is the same on all vCPUs").needs(&["kvmclock"]),
    // Leaf 4000_0001h, EDX: hints.
    Feature::cpuid(
        Leaf::new(0x4000_0001),
        Register::Edx,
        0,
        "kvm-hint-dedicated",
        "vCPUs have CPUs of their own",
    ),
];

const fn eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x4000_0001), Register::Eax, bit, name, about)
}
