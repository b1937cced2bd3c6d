//! Features of the basic leaves: SDM 2A, "CPUID—CPU Identification".

use super::{
    super::cpuid::{Leaf, Register},
    row::Feature,
};

pub(super) const FEATURES: &[Feature] = &[
    // Leaf 1, ECX.
    leaf_1_ecx(0, "pni", "SSE3").alias(&["sse3"]).needs(&["sse2"]),
    leaf_1_ecx(1, "pclmulqdq", "carry-less multiplication").alias(&["pclmuldq"]).needs(&["sse2"]),
    leaf_1_ecx(2, "dtes64", "64-bit debug store").needs(&["ds"]),
    leaf_1_ecx(3, "monitor", "MONITOR and MWAIT"),
    leaf_1_ecx(4, "ds-cpl", "debug store qualified by privilege level").needs(&["ds"]),
    leaf_1_ecx(5, "vmx", "Intel's virtualization"),
    leaf_1_ecx(6, "smx", "safer mode, GETSEC"),
    leaf_1_ecx(7, "est", "enhanced SpeedStep"),
    leaf_1_ecx(8, "tm2", "thermal monitor 2"),
    leaf_1_ecx(9, "ssse3", "supplemental SSE3").needs(&["sse2"]),
    leaf_1_ecx(10, "cid", "L1 context id"),
    leaf_1_ecx(12, "fma", "fused multiply-add").needs(&["avx"]),
    leaf_1_ecx(13, "cx16", "16-byte compare and exchange"),
    leaf_1_ecx(14, "xtpr", "task priority messages can be switched off"),
    leaf_1_ecx(15, "pdcm", "MSR of performance and debug capabilities"),
    leaf_1_ecx(17, "pcid", "TLB entries tagged by process").needs(&["lm"]),
    leaf_1_ecx(18, "dca", "direct cache access"),
    leaf_1_ecx(19, "sse4.1", "SSE4.1").alias(&["sse4-1"]).needs(&["sse2"]),
    leaf_1_ecx(20, "sse4.2", "SSE4.2, with CRC32 and string compare").alias(&["sse4-2"]).needs(&["sse2"]),
    leaf_1_ecx(21, "x2apic", "local APIC by MSRs, 32-bit ids").needs(&["apic"]),
    leaf_1_ecx(22, "movbe", "byte-swapping moves"),
    leaf_1_ecx(23, "popcnt", "count of set bits"),
    leaf_1_ecx(24, "tsc-deadline", "APIC timer that fires at a TSC value").needs(&["apic"]),
    leaf_1_ecx(25, "aes", "AES rounds").needs(&["sse2"]),
    leaf_1_ecx(26, "xsave", "extended state save, XCR0").needs(&["fxsr"]),
    leaf_1_ecx(28, "avx", "256-bit vectors").needs(&["xsave"]),
    leaf_1_ecx(29, "f16c", "half-precision conversions").needs(&["avx", "sse2"]),
    leaf_1_ecx(30, "rdrand", "random numbers"),
    leaf_1_ecx(31, "hypervisor", "a hypervisor is there"),
    // Leaf 1, EDX.
    leaf_1_edx(0, "fpu", "x87 floating point"),
    leaf_1_edx(1, "vme", "virtual-8086 mode enhancements"),
    leaf_1_edx(2, "de", "debugging extensions, breakpoints on I/O"),
    leaf_1_edx(3, "pse", "4 MiB pages"),
    leaf_1_edx(4, "tsc", "time-stamp counter"),
    leaf_1_edx(5, "msr", "RDMSR and WRMSR"),
    leaf_1_edx(6, "pae", "physical addresses beyond 32 bits"),
    leaf_1_edx(7, "mce", "machine-check exception"),
    leaf_1_edx(8, "cx8", "8-byte compare and exchange"),
    leaf_1_edx(9, "apic", "local APIC"),
    leaf_1_edx(11, "sep", "SYSENTER and SYSEXIT"),
    leaf_1_edx(12, "mtrr", "memory type range registers"),
    leaf_1_edx(13, "pge", "global pages"),
    leaf_1_edx(14, "mca", "machine-check banks").needs(&["mce"]),
    leaf_1_edx(15, "cmov", "conditional moves").needs(&["fxsr"]),
    leaf_1_edx(16, "pat", "page attribute table"),
    leaf_1_edx(17, "pse36", "36-bit addresses of 4 MiB pages").needs(&["pse"]),
    leaf_1_edx(18, "pn", "processor serial number"),
    leaf_1_edx(19, "clflush", "cache line flush"),
    leaf_1_edx(21, "ds", "debug store"),
    leaf_1_edx(22, "acpi", "thermal monitor and clock duty by MSRs"),
    leaf_1_edx(23, "mmx", "64-bit integer vectors").needs(&["fxsr"]),
    leaf_1_edx(24, "fxsr", "FXSAVE and FXRSTOR").needs(&["fpu"]),
    leaf_1_edx(25, "sse", "128-bit single-precision vectors").needs(&["fxsr"]),
    leaf_1_edx(26, "sse2", "128-bit integer and double-precision vectors").needs(&["sse"]),
    leaf_1_edx(27, "ss", "self-snoop of caches"),
    leaf_1_edx(28, "ht", "more than one logical processor"),
    leaf_1_edx(29, "tm", "thermal monitor"),
    leaf_1_edx(30, "ia64", "Itanium emulating x86"),
    leaf_1_edx(31, "pbe", "pending break enable"),
    // Leaf 6, EAX.
    Feature::cpuid(Leaf::new(6), Register::Eax, 2, "arat", "APIC timer that never stops").needs(&["apic"]),
    // Leaf 0DH, subleaf 1, EAX.
    leaf_d_1_eax(0, "xsaveopt", "XSAVE of modified state only"),
    leaf_d_1_eax(1, "xsavec", "XSAVE in compacted form"),
    leaf_d_1_eax(2, "xgetbv1", "XGETBV of components in use"),
    leaf_d_1_eax(3, "xsaves", "supervisor state save"),
    leaf_d_1_eax(4, "xfd", "extended feature disable, faults on first use").needs(&["xsaves", "xgetbv1"]),
    // Leaf 12H, subleaf 0, EAX: SGX.
    leaf_12_0_eax(0, "sgx1", "SGX enclaves"),
    leaf_12_0_eax(1, "sgx2", "enclaves whose memory can change").needs(&["sgx1"]),
    leaf_12_0_eax(11, "sgx-edeccssa", "EDECCSSA in enclaves").needs(&["sgx1"]),
    // Leaf 12H, subleaf 0, EBX.
    Feature::cpuid(Leaf::sub(0x12, 0), Register::Ebx, 0, "sgx-exinfo", "page faults reported to enclaves")
        .needs(&["sgx"]),
    // Leaf 12H, subleaf 1, EAX: attributes of enclaves.
    leaf_12_1_eax(1, "sgx-debug", "enclaves open to debuggers"),
    leaf_12_1_eax(2, "sgx-mode64", "64-bit enclaves"),
    leaf_12_1_eax(4, "sgx-provisionkey", "enclaves that get the provisioning key"),
    leaf_12_1_eax(5, "sgx-tokenkey", "enclaves that get the launch key"),
    leaf_12_1_eax(7, "sgx-kss", "key separation and sharing"),
    leaf_12_1_eax(10, "sgx-aex-notify", "enclaves are told of asynchronous exits"),
    // Leaf 14H, subleaf 0, ECX.
    Feature::cpuid(Leaf::sub(0x14, 0), Register::Ecx, 31, "intel-pt-lip", "traces hold linear addresses")
        .needs(&["intel-pt"]),
    // IA32_PERF_CAPABILITIES.
    Feature::msr(0x345, 13, "full-width-write", "counters written at full width").needs(&["pdcm"]),
];

const fn leaf_1_ecx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(1), Register::Ecx, bit, name, about)
}

const fn leaf_1_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(1), Register::Edx, bit, name, about)
}

const fn leaf_d_1_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(0xd, 1), Register::Eax, bit, name, about).needs(&["xsave"])
}

const fn leaf_12_0_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(0x12, 0), Register::Eax, bit, name, about).needs(&["sgx"])
}

const fn leaf_12_1_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(0x12, 1), Register::Eax, bit, name, about).needs(&["sgx"])
}
