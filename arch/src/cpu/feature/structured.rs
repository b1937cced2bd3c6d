//! Features of the structured extended leaf and its later kin: SDM 2A, "CPUID—CPU Identification".

use super::{
    super::cpuid::{Leaf, Register},
    row::Feature,
};

pub(super) const FEATURES: &[Feature] = &[
    // Leaf 7, subleaf 0, EBX.
    leaf_7_0_ebx(0, "fsgsbase", "FS and GS bases by instructions").needs(&["lm"]),
    leaf_7_0_ebx(1, "tsc-adjust", "offset of the TSC by MSR").needs(&["tsc"]),
    leaf_7_0_ebx(2, "sgx", "software guard extensions"),
    leaf_7_0_ebx(3, "bmi1", "bit manipulation, first set"),
    leaf_7_0_ebx(4, "hle", "hardware lock elision"),
    leaf_7_0_ebx(5, "avx2", "256-bit integer vectors").needs(&["avx"]),
    leaf_7_0_ebx(6, "fdp-excptn-only", "x87 data pointer updated on exceptions only"),
    leaf_7_0_ebx(7, "smep", "no execution of user pages in supervisor mode"),
    leaf_7_0_ebx(8, "bmi2", "bit manipulation, second set"),
    leaf_7_0_ebx(9, "erms", "fast REP MOVSB and STOSB"),
    leaf_7_0_ebx(10, "invpcid", "TLB flush by process"),
    leaf_7_0_ebx(11, "rtm", "restricted transactional memory"),
    leaf_7_0_ebx(13, "zero-fcs-fds", "x87 selectors are saved as zero"),
    leaf_7_0_ebx(14, "mpx", "bounds registers").needs(&["xsave"]),
    leaf_7_0_ebx(16, "avx512f", "512-bit vectors").needs(&["avx2"]),
    leaf_7_0_ebx(17, "avx512dq", "512-bit doubleword and quadword operations").needs(&["avx512f"]),
    leaf_7_0_ebx(18, "rdseed", "random seeds"),
    leaf_7_0_ebx(19, "adx", "multi-precision additions"),
    leaf_7_0_ebx(20, "smap", "no access to user pages in supervisor mode"),
    leaf_7_0_ebx(21, "avx512ifma", "512-bit integer fused multiply-add").needs(&["avx512f"]),
    leaf_7_0_ebx(22, "pcommit", "commit to persistent memory"),
    leaf_7_0_ebx(23, "clflushopt", "cache line flush, weakly ordered"),
    leaf_7_0_ebx(24, "clwb", "cache line write back"),
    leaf_7_0_ebx(25, "intel-pt", "processor trace"),
    leaf_7_0_ebx(26, "avx512pf", "512-bit gather and scatter prefetches").needs(&["avx512f"]),
    leaf_7_0_ebx(27, "avx512er", "512-bit exponentials and reciprocals").needs(&["avx512f"]),
    leaf_7_0_ebx(28, "avx512cd", "512-bit conflict detection").needs(&["avx512f"]),
    leaf_7_0_ebx(29, "sha-ni", "SHA-1 and SHA-256 rounds").needs(&["sse2"]),
    leaf_7_0_ebx(30, "avx512bw", "512-bit byte and word operations").needs(&["avx512f"]),
    leaf_7_0_ebx(31, "avx512vl", "AVX-512 on shorter vectors").needs(&["avx512f"]),
    // Leaf 7, subleaf 0, ECX.
    leaf_7_0_ecx(1, "avx512vbmi", "512-bit byte permutations").needs(&["avx512f"]),
    leaf_7_0_ecx(2, "umip", "no SGDT, SIDT and the like for users"),
    leaf_7_0_ecx(3, "pku", "protection keys of user pages").needs(&["xsave"]),
    leaf_7_0_ecx(5, "waitpkg", "UMONITOR, UMWAIT and TPAUSE"),
    leaf_7_0_ecx(6, "avx512vbmi2", "512-bit byte compress and shifts").needs(&["avx512vl"]),
    leaf_7_0_ecx(7, "cet-ss", "shadow stacks").needs(&["xsaves"]),
    leaf_7_0_ecx(8, "gfni", "Galois field arithmetic").needs(&["sse2"]),
    leaf_7_0_ecx(9, "vaes", "AES rounds on long vectors").needs(&["avx"]),
    leaf_7_0_ecx(10, "vpclmulqdq", "carry-less multiplication on long vectors").needs(&["avx"]),
    leaf_7_0_ecx(11, "avx512vnni", "512-bit neural network dot products").needs(&["avx512vl"]),
    leaf_7_0_ecx(12, "avx512bitalg", "512-bit counts of bits in bytes").needs(&["avx512vl"]),
    leaf_7_0_ecx(14, "avx512-vpopcntdq", "512-bit counts of set bits").needs(&["avx512f"]),
    leaf_7_0_ecx(16, "la57", "five-level paging").needs(&["lm"]),
    leaf_7_0_ecx(22, "rdpid", "processor id by instruction"),
    leaf_7_0_ecx(24, "bus-lock-detect", "debug exception after bus locks"),
    leaf_7_0_ecx(25, "cldemote", "cache line demotion"),
    leaf_7_0_ecx(27, "movdiri", "direct stores"),
    leaf_7_0_ecx(28, "movdir64b", "direct stores of 64 bytes"),
    leaf_7_0_ecx(30, "sgxlc", "enclaves of any signer").needs(&["sgx"]),
    leaf_7_0_ecx(31, "pks", "protection keys of supervisor pages").needs(&["lm"]),
    // Leaf 7, subleaf 0, EDX, except for speculation.
    leaf_7_0_edx(2, "avx512-4vnniw", "512-bit neural network operations").needs(&["avx512f"]),
    leaf_7_0_edx(3, "avx512-4fmaps", "512-bit fused multiply-add of four").needs(&["avx512f"]),
    leaf_7_0_edx(4, "fsrm", "fast short REP MOVSB"),
    leaf_7_0_edx(8, "avx512-vp2intersect", "512-bit intersection of vectors").needs(&["avx512vl"]),
    leaf_7_0_edx(14, "serialize", "SERIALIZE instruction"),
    leaf_7_0_edx(16, "tsx-ldtrk", "untracked loads in transactions"),
    leaf_7_0_edx(19, "arch-lbr", "architectural last-branch records"),
    leaf_7_0_edx(20, "cet-ibt", "indirect branch tracking").needs(&["xsaves"]),
    leaf_7_0_edx(22, "amx-bf16", "tiles of bfloat16").needs(&["amx-tile"]),
    leaf_7_0_edx(23, "avx512-fp16", "512-bit half-precision arithmetic").needs(&["avx512bw"]),
    leaf_7_0_edx(24, "amx-tile", "matrix tiles").needs(&["xfd"]),
    leaf_7_0_edx(25, "amx-int8", "tiles of bytes").needs(&["amx-tile"]),
    // Leaf 7, subleaf 1, EAX.
    leaf_7_1_eax(0, "sha512", "SHA-512 rounds").needs(&["avx"]),
    leaf_7_1_eax(1, "sm3", "SM3 hash rounds").needs(&["avx"]),
    leaf_7_1_eax(2, "sm4", "SM4 cipher rounds").needs(&["avx"]),
    leaf_7_1_eax(4, "avx-vnni", "neural network dot products in AVX").needs(&["avx2"]),
    leaf_7_1_eax(5, "avx512-bf16", "512-bit bfloat16 operations").needs(&["avx512vl"]),
    leaf_7_1_eax(7, "cmpccxadd", "compare, then add if the condition holds").needs(&["lm"]),
    leaf_7_1_eax(10, "fzrm", "fast zero-length REP MOVSB"),
    leaf_7_1_eax(11, "fsrs", "fast short REP STOSB"),
    leaf_7_1_eax(12, "fsrc", "fast short REP CMPSB and SCASB"),
    leaf_7_1_eax(17, "fred", "flexible return and event delivery").needs(&["lm", "lkgs", "wrmsrns"]),
    leaf_7_1_eax(18, "lkgs", "load of the kernel's GS").needs(&["lm"]),
    leaf_7_1_eax(19, "wrmsrns", "MSR writes that don't serialize"),
    leaf_7_1_eax(21, "amx-fp16", "tiles of half-precision numbers").needs(&["amx-tile"]),
    leaf_7_1_eax(23, "avx-ifma", "integer fused multiply-add in AVX").needs(&["avx2"]),
    leaf_7_1_eax(26, "lam", "linear address masking").needs(&["lm"]),
    leaf_7_1_eax(31, "movrs", "moves with a read-shared hint").needs(&["lm"]),
    // Leaf 7, subleaf 1, ECX.
    Feature::cpuid(Leaf::sub(7, 1), Register::Ecx, 5, "msr-imm", "MSR access with an immediate index")
        .needs(&["lm"]),
    // Leaf 7, subleaf 1, EDX.
    leaf_7_1_edx(4, "avx-vnni-int8", "dot products of bytes in AVX"),
    leaf_7_1_edx(5, "avx-ne-convert", "bfloat16 conversions without exceptions"),
    leaf_7_1_edx(8, "amx-complex", "tiles of complex numbers").needs(&["amx-tile"]),
    leaf_7_1_edx(10, "avx-vnni-int16", "dot products of words in AVX"),
    leaf_7_1_edx(14, "prefetchiti", "instruction prefetches").needs(&["lm"]),
    // SDM 1, "Detection of AVX10 Instructions": the first version of AVX10 has all of these.
    leaf_7_1_edx(19, "avx10", "converged vectors").needs(&[
        "avx512cd",
        "avx512bw",
        "avx512dq",
        "avx512vbmi",
        "avx512vbmi2",
        "avx512ifma",
        "avx512vnni",
        "avx512bitalg",
        "avx512-bf16",
        "avx512-fp16",
        "avx512-vpopcntdq",
    ]),
    leaf_7_1_edx(21, "apxf", "advanced performance extensions, 32 registers").needs(&["lm", "xsave"]),
    // Leaf 1EH, subleaf 1, EAX: matrix operations. Leaf 7 names some of them too.
    leaf_1e_1_eax(0, "amx-int8-alias", "tiles of bytes, again"),
    leaf_1e_1_eax(1, "amx-bf16-alias", "tiles of bfloat16, again"),
    leaf_1e_1_eax(2, "amx-complex-alias", "tiles of complex numbers, again"),
    leaf_1e_1_eax(3, "amx-fp16-alias", "tiles of half-precision numbers, again"),
    leaf_1e_1_eax(4, "amx-fp8", "tiles of 8-bit floating point"),
    leaf_1e_1_eax(6, "amx-tf32", "tiles of TensorFloat-32"),
    leaf_1e_1_eax(7, "amx-avx512", "moves between tiles and vectors").needs(&["amx-tile", "avx512f"]),
    leaf_1e_1_eax(8, "amx-movrs", "tile loads with a read-shared hint"),
    // Leaf 24H, subleaf 0, EBX: lengths of converged vectors.
    leaf_24_0_ebx(16, "avx10-128", "converged vectors of 128 bits").needs(&["avx10"]),
    leaf_24_0_ebx(17, "avx10-256", "converged vectors of 256 bits").needs(&["avx10-128"]),
    leaf_24_0_ebx(18, "avx10-512", "converged vectors of 512 bits").needs(&["avx10-256"]),
    // Leaf 24H, subleaf 1, ECX.
    Feature::cpuid(
        Leaf::sub(0x24, 1),
        Register::Ecx,
        2,
        "avx10-vnni-int",
        "dot products in converged vectors",
    )
    .needs(&["avx10"]),
    // Leaf 29H, subleaf 0, EBX.
    Feature::cpuid(
        Leaf::sub(0x29, 0),
        Register::Ebx,
        0,
        "apx-nci-ndd-nf",
        "new destinations and suppressed flags",
    )
    .needs(&["apxf"]),
];

const fn leaf_7_0_ebx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 0), Register::Ebx, bit, name, about)
}

const fn leaf_7_0_ecx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 0), Register::Ecx, bit, name, about)
}

const fn leaf_7_0_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 0), Register::Edx, bit, name, about)
}

const fn leaf_7_1_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 1), Register::Eax, bit, name, about)
}

const fn leaf_7_1_edx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(7, 1), Register::Edx, bit, name, about).needs(&["avx2"])
}

const fn leaf_1e_1_eax(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(0x1e, 1), Register::Eax, bit, name, about).needs(&["amx-tile"])
}

const fn leaf_24_0_ebx(bit: u32, name: &'static str, about: &'static str) -> Feature {
    Feature::cpuid(Leaf::sub(0x24, 0), Register::Ebx, bit, name, about)
}
