use super::*;

#[test]
fn failures_show_their_output_and_the_counts_come_last() {
    let mut report = Report::new();
    report.add("fine".into(), Outcome::Passed);
    report.add("broken".into(), Outcome::Failed("one\ntwo".into()));
    report.add("absent".into(), Outcome::Skipped("no KVM".into()));
    insta::assert_snapshot!(report, @r"
    skipped absent: no KVM
    FAILED broken
      | one
      | two
    1 passed, 1 failed, 1 skipped
    ");
    assert_eq!(report.failed(), 1);
}
