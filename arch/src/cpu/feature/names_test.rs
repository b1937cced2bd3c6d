use super::*;

#[test]
fn names_are_sorted_and_complete() {
    assert!(NAMES.is_sorted_by(|(one, _), (next, _)| one < next));
    for id in FeatureId::all() {
        for name in id.feature().aliases.iter().chain([&id.feature().name]) {
            assert_eq!(find(name), Some(id), "{name}");
        }
    }
    let names: usize = FeatureId::all().map(|id| 1 + id.feature().aliases.len()).sum();
    assert_eq!(NAMES.len(), names);
    for none in ["", "a", "avx512", "zzz", "AVX", "vmx_ept"] {
        assert_eq!(find(none), None, "{none}");
    }
}

#[test]
fn needs_are_those_of_the_table() {
    for id in FeatureId::all() {
        let named: Vec<_> = id.feature().needs.iter().map(|name| find(name)).collect();
        assert_eq!(id.needs().iter().copied().map(Some).collect::<Vec<_>>(), named, "{id}");
    }
}
