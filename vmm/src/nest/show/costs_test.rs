use super::super::tests::{explained, passed};
use super::*;

#[test]
fn a_cost_is_shown_in_lines() {
    let lines = lines(&explained(), None);
    let wanted = [
        "one CPUID of level 2 became 6.2 exits to level 0 (1,932 measured)",
        "  level 1: vmload 2.0, vmrun 1.0",
        "  level 2: cpuid 1.0",
        "  at: __svm_vcpu_run+0x99 [kvm_amd] vmrun 1.0",
        "  MSRs: DEBUGCTL read 1.0, 0x777 written 0.1",
        "  ports: 0x3f8 written 0.1",
        "  advice on 2.0: level 0's CPU has no <virtual> VMLOAD, so that each is an exit of its own, and no",
        "    kernel can help that",
        "one port read of level 2 became 6.2 exits to level 0 (1,932 measured)",
    ];
    assert_eq!(lines[..wanted.len()], wanted);
    // The same advice is not given twice.
    assert_eq!(lines.iter().filter(|line| line.contains("advice")).count(), 1);
}

#[test]
fn lines_fit_the_terminal() {
    for width in [60, 80, 100] {
        for line in lines(&explained(), Some(width)) {
            assert!(line.chars().count() <= width, "{line}");
        }
    }
}

#[test]
fn levels_that_can_not_be_distinguished_are_shown_together() {
    let mut record = explained();
    record.wanted = 3;
    let lines = lines(&record, None);
    assert!(lines.iter().any(|line| line == "  levels 2 to 3: cpuid 1.0"), "{lines:?}");
    assert_eq!((who(3, 1, Some(2)), who(3, 1, Some(3))), ("level 2".into(), "level 3".into()));
    assert_eq!(who(3, 0, None), "all levels");
}

#[test]
fn missing_tracepoints_are_explained() {
    let lines = lines(&explained(), Some(200));
    let last = lines.last().unwrap();
    assert!(last.starts_with("level 1 counts by KVM's statistics"), "{last}");
    assert!(last.ends_with("tracefs: permission denied"), "{last}");
    assert!(html(&explained()).contains("permission denied"));
}

#[test]
fn a_page_has_the_same_with_every_character_escaped() {
    let page = html(&explained());
    for part in [
        "<h2>What an exit costs</h2>",
        "one CPUID of level 2 became 6.2",
        "<code>vmload 2.0</code>",
        "&lt;virtual&gt;",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches("<p>Advice on 2.0").count(), 1);
    assert_eq!(html(&passed()), "");
}
