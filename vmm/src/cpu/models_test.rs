use super::*;

#[test]
fn every_version_is_in_one_family() {
    let families = families();
    let versions: usize = families.iter().map(|family| family.versions.len()).sum();
    assert_eq!(versions, model::all().filter(|model| model.alias_of.is_none()).count());
    let names: usize =
        families.iter().flat_map(|family| &family.versions).map(|(_, names)| 1 + names.len()).sum();
    assert_eq!(names, model::all().count());
    let haswell = families.iter().find(|family| family.name == "Haswell").unwrap();
    let (second, aliases) = &haswell.versions[1];
    assert_eq!((second.name.as_str(), aliases.as_slice()), ("Haswell-v2", ["Haswell-noTSX"].as_slice()));
}

#[test]
fn models_are_listed_briefly() {
    let with = |name: &str| {
        let id = arch::cpu::feature::FeatureId::find(name).unwrap();
        brief(|model| model.features.contains(id)).join(" ")
    };
    assert_eq!(with("fpu"), "all");
    assert_eq!(with("vmx"), "none");
    assert_eq!(with("tsc"), "all but 486");
    let hle = with("hle");
    assert!(hle.starts_with("Haswell v1 v3, Broadwell v1 v3, "), "{hle}");
    assert!(with("gfni").contains("Icelake-Server, "));
}

#[test]
fn versions_make_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "v1-v3 v5 v7-v8");
}
