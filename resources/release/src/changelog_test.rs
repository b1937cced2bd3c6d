use super::*;

#[test]
fn a_version_has_its_day() {
    let text = "# Changelog\n\n## [0.2.0] - 2026-11-29\n\n## [0.1.0] - soon\n";
    assert_eq!(day_of(text, "0.2.0"), Some("2026-11-29"));
    assert_eq!(day_of(text, "0.1.0"), None);
    assert_eq!(day_of(text, "0.2"), None);
}

#[test]
fn the_changelog_has_this_version() {
    day().unwrap();
}
