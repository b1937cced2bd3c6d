use super::*;
use crate::check::report::Finding;

fn report(kvm: Verdict, nested: Verdict) -> Report {
    let finding = |id, severity, found: &str| Finding {
        id,
        severity,
        found: found.to_owned(),
        fixes: vec![],
        source: None,
    };
    let findings = vec![
        finding("device", Severity::Ok, "it opens"),
        finding("kernel", Severity::Warning, "it is old"),
        finding("parameter", Severity::Problem, "nested is N"),
    ];
    Report { kvm, nested, findings, ..judge(&Facts::default()) }
}

fn kind(kvm: Verdict, nested: Verdict, wanted: bool) -> Option<FailureKind> {
    let error = weigh(&report(kvm, nested), wanted).1.err()?;
    error.downcast_ref().copied()
}

#[test]
fn only_what_the_next_level_needs_is_a_failure() {
    use Verdict::{No, Unknown, Yes};
    assert_eq!(kind(Yes, Yes, true), None);
    assert_eq!(kind(Yes, No, true), Some(FailureKind::NoNesting));
    assert_eq!(kind(Yes, No, false), None);
    assert_eq!(kind(No, No, false), Some(FailureKind::KvmDidNotLoad));
    assert_eq!(kind(Unknown, Unknown, true), None);
}

#[test]
fn failed_nesting_is_reported() {
    let (record, outcome) = weigh(&report(Verdict::Yes, Verdict::No), true);
    assert_eq!(record.warnings, ["kernel", "parameter"]);
    assert_eq!((record.kvm, record.nested), (Some(true), Some(false)));
    assert_eq!(format!("{:#}", outcome.unwrap_err()), "no nesting: parameter: nested is N");
}
