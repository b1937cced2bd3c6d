use super::*;

/// The advisories on a kernel that nests.
fn on(version: Version, kind: Virtualization) -> Vec<&'static str> {
    let concerning = ADVISORIES.iter().filter(|advisory| advisory.concerns(version, Some(kind)));
    concerning.map(|advisory| advisory.id.trim_start_matches("advisory.CVE-")).collect()
}

#[test]
fn a_series_is_fixed_from_its_own_version_on() {
    assert_eq!(on((6, 12, 94), Virtualization::Svm), ["2026-64561", "2026-53359"]);
    assert_eq!(on((6, 12, 95), Virtualization::Svm), ["2026-64561"]);
    assert_eq!(on((6, 12, 100), Virtualization::Vmx), ["2026-64562", "2026-64561"]);
    assert_eq!(on((6, 12, 101), Virtualization::Vmx), [""; 0]);
    assert_eq!(on((7, 2, 0), Virtualization::Vmx), [""; 0]);
}

#[test]
fn a_series_without_a_fix_has_the_flaw() {
    assert_eq!(on((6, 13, 99), Virtualization::Vmx), ["2026-64562", "2026-64561", "2026-53359"]);
    assert_eq!(on((5, 11, 12), Virtualization::Svm), ["2026-64561", "2026-53359", "2021-3656", "2021-3653"]);
    assert_eq!(on((5, 11, 11), Virtualization::Svm).last(), Some(&"2021-29657"));
}

#[test]
fn a_flaw_of_one_kind_is_not_the_others() {
    assert_eq!(on((5, 10, 27), Virtualization::Vmx), ["2026-64562", "2026-64561", "2026-53359"]);
    assert!(on((5, 10, 27), Virtualization::Svm).contains(&"2021-29657"));
    assert!(!on((5, 9, 0), Virtualization::Svm).contains(&"2021-29657"));
}

#[test]
fn each_has_its_source() {
    for advisory in &ADVISORIES {
        let cve = advisory.id.trim_start_matches("advisory.");
        assert!(advisory.source.ends_with(cve), "{cve}");
        assert!(
            advisory.fixed.is_sorted() && advisory.fixed.iter().all(|fixed| *fixed < advisory.mainline),
            "{cve}"
        );
    }
}
