use super::*;
use crate::cpu::text::without_colour;

fn report() -> Report {
    let off =
        Finding::new("nesting.parameter-off", Severity::Problem, "kvm_intel.nested=N ".repeat(6).trim());
    Report {
        schema: SCHEMA,
        nvmm: "1.2.3",
        kvm: Verdict::Yes,
        nested: Verdict::Unknown,
        findings: vec![
            Finding::new("kvm.device", Severity::Ok, "/dev/kvm opens"),
            off.fix("Load the module again", ["sudo modprobe -r kvm_intel"]),
            Finding {
                source: Some("https://example.org/1"),
                ..Finding::new("advisory.CVE-0", Severity::Warning, "old")
            },
        ],
        facts: Facts::default(),
    }
}

const TEXT: &str = "\
✓ kvm.device                   /dev/kvm opens
✗ nesting.parameter-off        kvm_intel.nested=N kvm_intel.nested=N kvm_intel.nested=N
                               kvm_intel.nested=N kvm_intel.nested=N kvm_intel.nested=N
    - Load the module again
          sudo modprobe -r kvm_intel
! advisory.CVE-0               old
                               https://example.org/1

guests: yes, nested guests: can't tell
";

#[test]
fn text_is_a_line_for_each_finding() {
    assert_eq!(report().text(Paint::PLAIN), TEXT);
}

#[test]
fn colour_changes_no_words() {
    let text = report().text(Paint::COLOURED);
    assert!(text.contains("\x1b[32m✓\x1b[0m") && text.contains("\x1b[31m✗\x1b[0m"), "{text}");
    assert_eq!(without_colour(&text), TEXT);
}

#[test]
fn json_matches_the_schema() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!((&json["kvm"], &json["nested"]), (&"yes".into(), &"unknown".into()));
    assert_eq!(
        json["findings"][0],
        serde_json::json!({ "id": "kvm.device", "severity": "ok", "found": "/dev/kvm opens" })
    );
    assert_eq!(json["findings"][1]["fixes"][0]["commands"][0], "sudo modprobe -r kvm_intel");
    assert!(json["facts"].is_object());
}
