use super::*;

const NAMES: [&str; 8] = ["avx", "avx2", "avx512f", "avx512bw", "avx512-bf16", "vmx-ept", "sse4.1", "sse4.2"];

fn near(name: &str) -> Vec<&'static str> {
    nearest(name, NAMES.into_iter())
}

#[test]
fn slips_are_nearest() {
    assert_eq!(near("avx3"), ["avx2", "avx"]);
    assert_eq!(near("vmxept"), ["vmx-ept"]);
    assert_eq!(near("vmx-etp"), ["vmx-ept"]);
    assert_eq!(near("AVX512F")[0], "avx512f");
}

#[test]
fn parts_come_after_slips() {
    assert_eq!(near("sse4"), ["sse4.1", "sse4.2"]);
    assert_eq!(near("avx512"), ["avx512f", "avx512bw", "avx512-bf16"]);
    assert_eq!(near("vmx-ept-on"), ["vmx-ept"]);
    assert!(near("a-name-with-avx-in-it").is_empty());
}

#[test]
fn there_is_no_suggestion_without_a_similar_name() {
    assert!(near("frobnicate").is_empty());
    assert!(near("").is_empty());
    assert!(near("x").is_empty());
}
