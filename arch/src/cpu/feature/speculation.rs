//! Features about speculative execution: controls of it, and what a CPU is not prone to.
//! SDM 2A, "CPUID—CPU Identification"; SDM 4, "Architectural MSRs";
//! APM 3, "Obtaining Processor Information Via the CPUID Instruction".

use super::{
    super::cpuid::{Leaf, Register},
    row::Feature,
};

pub(super) const FEATURES: &[Feature] = &[
    // Leaf 7, subleaf 0, EDX.
    leaf_7_0_edx(10, "md-clear", "VERW clears CPU buffers"),
    leaf_7_0_edx(26, "spec-ctrl", "IBRS and IBPB, the MSRs for them"),
    leaf_7_0_edx(27, "stibp", "indirect branch predictors per thread").needs(&["spec-ctrl"]),
    leaf_7_0_edx(28, "flush-l1d", "flush of the L1 data cache by MSR"),
    leaf_7_0_edx(29, "arch-capabilities", "MSR of what the CPU isn't prone to"),
    leaf_7_0_edx(30, "core-capability", "MSR of the core's capabilities"),
    leaf_7_0_edx(31, "ssbd", "speculative store bypass can be disabled").needs(&["spec-ctrl"]),
    // Leaf 7, subleaf 2, EDX.
    leaf_7_2_edx(0, "intel-psfd", "fast store forwarding can be disabled").needs(&["spec-ctrl"]),
    leaf_7_2_edx(1, "ipred-ctrl", "indirect branch prediction can be restricted").needs(&["spec-ctrl"]),
    leaf_7_2_edx(2, "rrsba-ctrl", "alternate return prediction can be disabled").needs(&["spec-ctrl"]),
    leaf_7_2_edx(3, "ddpd-u", "data-dependent prefetcher can be disabled").needs(&["spec-ctrl"]),
    leaf_7_2_edx(4, "bhi-ctrl", "branch history can be kept per mode").needs(&["spec-ctrl"]),
    leaf_7_2_edx(5, "mcdt-no", "timing doesn't depend on MXCSR"),
    // Function 8000_0008h, EBX.
    function_8_ebx(12, "ibpb", "indirect branch prediction barrier"),
    function_8_ebx(14, "ibrs", "indirect branches restricted"),
    function_8_ebx(15, "amd-stibp", "indirect branch predictors per thread, AMD's"),
    function_8_ebx(17, "stibp-always-on", "predictors are best always per thread"),
    function_8_ebx(24, "amd-ssbd", "store bypass can be disabled, AMD's"),
    function_8_ebx(25, "virt-ssbd", "store bypass disabled through the hypervisor"),
    function_8_ebx(26, "amd-no-ssb", "no speculative store bypass"),
    function_8_ebx(28, "amd-psfd", "fast store forwarding can be disabled, AMD's"),
    // Function 8000_0021h, EAX.
    function_21_eax(2, "lfence-always-serializing", "LFENCE always serializes"),
    function_21_eax(5, "verw-clear", "VERW clears buffers, AMD's"),
    function_21_eax(8, "auto-ibrs", "IBRS in kernel mode by itself"),
    function_21_eax(24, "eraps", "return predictions flushed with the address space"),
    function_21_eax(27, "sbpb", "selective branch predictor barrier"),
    function_21_eax(28, "ibpb-brtype", "IBPB flushes types of branches too"),
    function_21_eax(29, "srso-no", "not prone to return stack overflow"),
    function_21_eax(30, "srso-user-kernel-no", "no such overflow from user to kernel"),
    // Function 8000_0021h, ECX.
    Feature::cpuid(
        Leaf::new(0x8000_0021),
        Register::Ecx,
        1,
        "tsa-sq-no",
        "no transient scheduler attack, store queue",
    ),
    Feature::cpuid(
        Leaf::new(0x8000_0021),
        Register::Ecx,
        2,
        "tsa-l1-no",
        "no transient scheduler attack, L1 cache",
    ),
    // IA32_ARCH_CAPABILITIES.
    arch_capabilities(0, "rdctl-no", "not prone to Meltdown"),
    arch_capabilities(1, "ibrs-all", "IBRS can stay on"),
    arch_capabilities(2, "rsba", "returns may use alternate predictions"),
    arch_capabilities(3, "skip-l1dfl-vmentry", "no L1 flush needed on VM entry"),
    arch_capabilities(4, "ssb-no", "not prone to speculative store bypass"),
    arch_capabilities(5, "mds-no", "not prone to data sampling"),
    arch_capabilities(6, "pschange-mc-no", "no machine check on page size changes"),
    arch_capabilities(7, "tsx-ctrl", "MSR that switches transactions off"),
    arch_capabilities(8, "taa-no", "not prone to asynchronous aborts of transactions"),
    arch_capabilities(13, "sbdr-ssdp-no", "no sampling of shared buffers"),
    arch_capabilities(14, "fbsdp-no", "no stale data of fill buffers"),
    arch_capabilities(15, "psdp-no", "no stale data of primary buffers"),
    arch_capabilities(17, "fb-clear", "VERW clears fill buffers"),
    arch_capabilities(20, "bhi-no", "not prone to branch history injection"),
    arch_capabilities(24, "pbrsb-no", "no stale returns after VM exits"),
    arch_capabilities(26, "gds-no", "not prone to gather data sampling"),
    arch_capabilities(27, "rfds-no", "not prone to register file sampling"),
    arch_capabilities(28, "rfds-clear", "VERW clears register files"),
    arch_capabilities(62, "its-no", "not prone to indirect target selection"),
    // IA32_CORE_CAPABILITIES.
    Feature::msr(0xcf, 5, "split-lock-detect", "exception on split locks").needs(&["core-capability"]),
];

const fn leaf_7_0_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 0), Register::Edx, bit, name, about)
}

const fn leaf_7_2_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 2), Register::Edx, bit, name, about)
}

const fn function_8_ebx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0008), Register::Ebx, bit, name, about)
}

const fn function_21_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0021), Register::Eax, bit, name, about)
}

const fn arch_capabilities(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::msr(0x10a, bit, name, about).needs(&["arch-capabilities"])
}
