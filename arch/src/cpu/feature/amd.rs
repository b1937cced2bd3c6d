//! Features of AMD's extended functions, except for speculation, and of VIA's functions: APM 3, "Obtaining Processor Information Via the
//! CPUID Instruction".

use super::{
    super::cpuid::{Leaf, Register},
    row::Feature,
};

pub(super) const FEATURES: &[Feature] = &[
    // Function 8000_0001h, ECX.
    function_1_ecx(0, "lahf-lm", "LAHF and SAHF in 64-bit mode"),
    function_1_ecx(1, "cmp-legacy", "cores are told as threads"),
    function_1_ecx(2, "svm", "AMD's virtualization"),
    function_1_ecx(3, "extapic", "extended local APIC registers").needs(&["apic"]),
    function_1_ecx(4, "cr8legacy", "CR8 in 32-bit mode"),
    function_1_ecx(5, "abm", "count of leading zeros"),
    function_1_ecx(6, "sse4a", "AMD's SSE4a").needs(&["sse2"]),
    function_1_ecx(7, "misalignsse", "misaligned operands of SSE").needs(&["sse"]),
    function_1_ecx(8, "3dnowprefetch", "PREFETCH and PREFETCHW"),
    function_1_ecx(9, "osvw", "OS-visible workarounds by MSR"),
    function_1_ecx(10, "ibs", "instruction-based sampling"),
    function_1_ecx(11, "xop", "AMD's extended operations").needs(&["avx"]),
    function_1_ecx(12, "skinit", "secure kernel init"),
    function_1_ecx(13, "wdt", "watchdog timer"),
    function_1_ecx(15, "lwp", "lightweight profiling").needs(&["xsave"]),
    function_1_ecx(16, "fma4", "fused multiply-add of four operands").needs(&["avx"]),
    function_1_ecx(17, "tce", "TLB flushes keep upper levels").needs(&["lm"]),
    function_1_ecx(19, "nodeid-msr", "MSR of the node id"),
    function_1_ecx(21, "tbm", "trailing bit manipulation"),
    function_1_ecx(22, "topoext", "topology leaves 8000_001Dh and 8000_001Eh"),
    function_1_ecx(23, "perfctr-core", "six core performance counters"),
    function_1_ecx(24, "perfctr-nb", "performance counters of the northbridge"),
    // Function 8000_0001h, EDX: the features that leaf 1 doesn't name.
    function_1_edx(11, "syscall", "SYSCALL and SYSRET"),
    function_1_edx(20, "nx", "pages without execution").alias(&["xd"]).needs(&["pae"]),
    function_1_edx(22, "mmxext", "AMD's extensions of MMX").needs(&["mmx"]),
    function_1_edx(25, "fxsr-opt", "FXSAVE without x87 state in kernel mode")
        .alias(&["ffxsr"])
        .needs(&["fxsr"]),
    function_1_edx(26, "pdpe1gb", "1 GiB pages").needs(&["lm"]),
    function_1_edx(27, "rdtscp", "TSC read with processor id").needs(&["tsc"]),
    function_1_edx(29, "lm", "64-bit mode").alias(&["i64"]).needs(&["pae"]),
    function_1_edx(30, "3dnowext", "AMD's extensions of 3DNow!").needs(&["3dnow"]),
    function_1_edx(31, "3dnow", "AMD's vectors before SSE").needs(&["mmx"]),
    // Function 8000_0007h, EBX.
    Feature::cpuid(
        Leaf::new(0x8000_0007),
        Register::Ebx,
        0,
        "overflow-recov",
        "recovery from machine-check overflow",
    )
    .needs(&["mca"]),
    Feature::cpuid(Leaf::new(0x8000_0007), Register::Ebx, 1, "succor", "recovery from uncorrectable errors")
        .needs(&["mca"]),
    // Function 8000_0007h, EDX.
    Feature::cpuid(Leaf::new(0x8000_0007), Register::Edx, 8, "invtsc", "TSC at one rate, always")
        .needs(&["tsc"]),
    // Function 8000_0008h, EBX.
    function_8_ebx(0, "clzero", "zeroing of a cache line"),
    function_8_ebx(2, "xsaveerptr", "x87 error pointers always saved").needs(&["fxsr"]),
    function_8_ebx(9, "wbnoinvd", "cache write back without invalidation"),
    // Function 8000_000Ah, EDX: what a guest can do as a hypervisor.
    function_a_edx(0, "npt", "nested paging"),
    function_a_edx(1, "lbrv", "last-branch records are switched with the guest"),
    function_a_edx(2, "svm-lock", "SVM can be locked"),
    function_a_edx(3, "nrip-save", "next instruction's address saved on exits"),
    function_a_edx(4, "tsc-scale", "guests with another TSC rate"),
    function_a_edx(5, "vmcb-clean", "parts of the VMCB stay cached"),
    function_a_edx(6, "flushbyasid", "TLB flush of one guest"),
    function_a_edx(7, "decodeassists", "exits come with their decoding"),
    function_a_edx(10, "pause-filter", "spinning guests exit"),
    function_a_edx(12, "pfthreshold", "cycles between pauses that count").needs(&["pause-filter"]),
    function_a_edx(13, "avic", "virtual interrupt controller"),
    function_a_edx(15, "v-vmsave-vmload", "VMLOAD and VMSAVE without exits"),
    function_a_edx(16, "vgif", "STGI and CLGI without exits"),
    function_a_edx(17, "gmet", "no guest execution of user pages in supervisor mode"),
    function_a_edx(25, "vnmi", "virtual NMIs"),
    function_a_edx(28, "svme-addr-chk", "VMCB addresses are checked in guests"),
    // Function 8000_0021h, EAX.
    function_21_eax(0, "no-nested-data-bp", "no data breakpoints inside data breakpoints"),
    function_21_eax(1, "fs-gs-base-ns", "FS and GS base writes don't serialize").needs(&["lm"]),
    function_21_eax(6, "null-sel-clr-base", "null selectors clear the base"),
    function_21_eax(20, "prefetchi", "instruction prefetches to cache levels"),
    // Function 8000_0022h, EAX.
    Feature::cpuid(
        Leaf::new(0x8000_0022),
        Register::Eax,
        0,
        "perfmon-v2",
        "performance counters, global control",
    )
    .needs(&["perfctr-core"]),
    // Function C000_0001h, EDX: VIA PadLock. Each unit has a bit for being there, and one for being switched on.
    centaur_edx(2, "xstore", "random numbers of VIA"),
    centaur_edx(3, "xstore-en", "random numbers of VIA, enabled").needs(&["xstore"]),
    centaur_edx(6, "xcrypt", "cipher unit of VIA"),
    centaur_edx(7, "xcrypt-en", "cipher unit of VIA, enabled").needs(&["xcrypt"]),
    centaur_edx(8, "ace2", "second cipher unit of VIA"),
    centaur_edx(9, "ace2-en", "second cipher unit of VIA, enabled").needs(&["ace2"]),
    centaur_edx(10, "phe", "hash unit of VIA"),
    centaur_edx(11, "phe-en", "hash unit of VIA, enabled").needs(&["phe"]),
    centaur_edx(12, "pmm", "Montgomery multiplier of VIA"),
    centaur_edx(13, "pmm-en", "Montgomery multiplier of VIA, enabled").needs(&["pmm"]),
];

const fn function_1_ecx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0001), Register::Ecx, bit, name, about)
}

const fn function_1_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0001), Register::Edx, bit, name, about)
}

const fn function_8_ebx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0008), Register::Ebx, bit, name, about)
}

const fn function_a_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_000a), Register::Edx, bit, name, about).needs(&["svm"])
}

const fn function_21_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0x8000_0021), Register::Eax, bit, name, about)
}

const fn centaur_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::new(0xc000_0001), Register::Edx, bit, name, about)
}
