//! `nvmm check` on recorded hosts and on this one, as users run it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::nvmm;

fn host(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/check").join(name);
    path.with_extension("json").to_str().unwrap().to_owned()
}

/// The exit status and its output.
fn check(words: &[&str]) -> (i32, String) {
    let output = nvmm().arg("check").args(words).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_status_shows_whether_the_requirements_are_met() {
    for (name, kvm, nested) in [
        ("intel-l0", 0, 0),
        ("amd-l0", 0, 0),
        ("intel-nested-off", 0, 1),
        ("intel-built-in", 0, 1),
        ("software-kvm", 0, 1),
        ("intel-no-module", 1, 1),
        ("intel-firmware-off", 1, 1),
        ("guest-of-aws", 1, 1),
        ("intel-no-permission", 1, 77),
        ("container", 1, 77),
    ] {
        let host = host(name);
        assert_eq!(check(&["--facts", &host]).0, kvm, "{name}");
        assert_eq!(check(&["--facts", &host, "--require", "kvm"]).0, kvm, "{name}");
        assert_eq!(check(&["--facts", &host, "--require", "nested"]).0, nested, "{name}");
    }
}

#[test]
fn text_has_the_finding_and_its_way_out() {
    let (_, text) = check(&["--facts", &host("intel-nested-off")]);
    for part in [
        "✗ nesting.parameter-off        kvm_intel.nested=N",
        "\n          sudo modprobe kvm_intel nested=1\n",
        "\nguests: yes, nested guests: no\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn json_output_can_be_judged_again() {
    let (_, json) = check(&["--facts", &host("guest-of-gce"), "--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["schema"], &report["kvm"]), (&1.into(), &"no".into()));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check.json");
    fs::write(&file, &json).unwrap();
    assert_eq!(check(&["--facts", file.to_str().unwrap(), "--json"]).1, json);
}

/// A recording may come from an untrusted source.
#[test]
fn text_from_a_recording_is_printed_safely() {
    let text = fs::read_to_string(host("intel-l0")).unwrap();
    let mut recording: Value = serde_json::from_str(&text).unwrap();
    for place in ["/kernel", "/cpu/model", "/device/path"] {
        *recording.pointer_mut(place).unwrap() = "\x1b]0;title\x07\n✓ fake".into();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a\x1b[2Jb");
    fs::write(&file, recording.to_string()).unwrap();
    let output = nvmm().args(["check", "--facts"]).arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(r"\x1b]0;title\x07\n") && !text.contains('\x1b') && !text.contains("\n✓ fake"),
        "{text}"
    );
    for (nothing, why) in
        [("{}", "no facts"), ("[]", "no facts"), (r#"{"schema": 9, "facts": {}}"#, "schema is 9")]
    {
        fs::write(&file, nothing).unwrap();
        let output = nvmm().args(["check", "--facts"]).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{nothing}");
        assert!(said.contains(why) && said.contains(r"a\x1b[2Jb") && !said.contains('\x1b'), "{said}");
    }
}

#[test]
fn a_file_of_something_else_is_refused_by_name() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/hosts/milan.json");
    let output = nvmm().args(["check", "--facts"]).arg(&file).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("milan.json: unknown field"), "{error}");
}

#[test]
fn this_host_is_judged_too() {
    let (status, json) = check(&["--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status, i32::from(report["kvm"] != "yes"), "{json}");
    let (status, json) = check(&["--json", "--kvm", "/dev/no-kvm"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &report["kvm"], &report["facts"]["device"]["errno"]), (1, &"no".into(), &2.into()));
}
