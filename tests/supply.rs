//! nvmm's dependencies and build: the licences, sources, versions and known vulnerabilities of other crates, checked by cargo-deny with
//! deny.toml; and the checks that stay enabled in a release.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// cargo-deny's message if it can't get the advisory database.
const NO_DATABASE: &str = "failed to fetch advisory database";

/// Runs cargo-deny's `checks`, with warnings as errors. If it is not installed, prints that the test is skipped, and why.
fn deny(checks: &[&str]) -> Option<Output> {
    let cargo_deny = || {
        let mut command = Command::new("cargo-deny");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        command
    };
    if let Err(error) = cargo_deny().arg("--version").output() {
        println!("skipped: cargo-deny: {error} (cargo install cargo-deny --locked)");
        return None;
    }
    Some(cargo_deny().args(["--locked", "check", "--deny", "warnings"]).args(checks).output().unwrap())
}

#[test]
fn crates_have_licences_sources_and_versions_that_are_let_in() {
    let Some(output) = deny(&["licenses", "sources", "bans"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_crate_has_a_known_fault_or_was_yanked() {
    let Some(output) = deny(&["advisories"]) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains(NO_DATABASE) {
        return println!("skipped: {NO_DATABASE}");
    }
    assert!(output.status.success(), "{stderr}");
}

/// In a release too, arithmetic on numbers from guests and images can't silently overflow.
#[test]
fn a_release_checks_for_overflow_where_numbers_come_from_guests() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    // cargo's tables begin with their names, and none is split.
    let table = |name: &str| {
        let tables = text.split("\n[");
        let table = tables.into_iter().find_map(|table| table.strip_prefix(name)?.strip_prefix("]\n"));
        table.unwrap_or_else(|| panic!("Cargo.toml has no [{name}]"))
    };
    for package in ["arch", "devices"] {
        let profile = table(&format!("profile.release.package.{package}"));
        let checks = profile.lines().any(|line| line.trim() == "overflow-checks = true");
        assert!(checks, "{package}: {profile}");
    }
}
