use roxmltree::{Document, Node};

use super::super::tests::{failed, passed, program, skipped};
use super::*;

type Names = &'static [&'static str];

/// The rules of the schema that CI systems use: element, the elements it may be in, its required and its optional attributes.
const SCHEMA: [(&str, Names, Names, Names); 8] = [
    ("testsuites", &[], &[], &["name", "tests", "failures", "errors", "skipped", "time"]),
    ("testsuite", &["testsuites"], &["name", "tests"], &["failures", "errors", "skipped", "time"]),
    ("properties", &["testsuite"], &[], &[]),
    ("property", &["properties"], &["name", "value"], &[]),
    ("testcase", &["testsuite"], &["name", "classname"], &["time"]),
    ("failure", &["testcase"], &["type", "message"], &[]),
    ("skipped", &["testcase"], &["message"], &[]),
    ("system-out", &["testcase"], &[], &[]),
];

fn check(node: Node<'_, '_>) {
    let name = node.tag_name().name();
    let (_, parents, must, may) =
        *SCHEMA.iter().find(|rule| rule.0 == name).unwrap_or_else(|| panic!("<{name}>"));
    let parent = node.parent_element().map(|parent| parent.tag_name().name());
    assert!(parent.map_or(parents.is_empty(), |parent| parents.contains(&parent)), "<{name}> in {parent:?}");
    assert!(must.iter().all(|&must| node.has_attribute(must)), "{node:?}");
    for attribute in node.attributes() {
        assert!(must.iter().chain(may).any(|&known| known == attribute.name()), "{attribute:?} of <{name}>");
    }
    node.children().filter(Node::is_element).for_each(check);
}

/// Each case's name, and the element with its result.
fn outcomes(text: &str) -> Vec<(String, String)> {
    let document = Document::parse(text).unwrap();
    check(document.root_element());
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    for (attribute, tag) in [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")] {
        let count = suite.descendants().filter(|node| node.has_tag_name(tag)).count();
        assert_eq!(suite.attribute(attribute), Some(count.to_string().as_str()), "{attribute}");
    }
    let cases = suite.children().filter(|node| node.has_tag_name("testcase"));
    let outcome = |case: Node<'_, '_>| {
        let ends = case.children().find(|node| ["failure", "skipped"].contains(&node.tag_name().name()));
        ends.map_or_else(
            || "passed".to_owned(),
            |node| format!("{} {}", node.tag_name().name(), node.attribute("message").unwrap()),
        )
    };
    cases.map(|case| (case.attribute("name").unwrap().to_owned(), outcome(case))).collect()
}

fn expect(record: &Record, expected: &[(&str, &str)]) {
    let outcomes = outcomes(&junit(record));
    let outcomes: Vec<_> = outcomes.iter().map(|(name, end)| (name.as_str(), end.as_str())).collect();
    assert_eq!(outcomes, expected);
}

#[test]
fn a_run_that_passed_is_a_passed_case_a_level() {
    expect(&passed(), &[("level 0", "passed"), ("level 1", "passed"), ("level 2", "passed")]);
    let text = junit(&passed());
    assert!(text.contains(r#"name="level 1" time="4.300""#), "{text}");
    assert!(text.contains("CPU: Intel Xeon Platinum 8375C"), "{text}");
}

#[test]
fn only_the_level_to_blame_fails() {
    let why = "the kernel did not start: timed out before its kernel ran /init <\"&'>";
    expect(
        &failed(),
        &[
            ("level 0", "skipped level 2 failed"),
            ("level 1", "skipped level 2 failed"),
            ("level 2", &format!("failure {why}")),
            ("level 3", "skipped level 2 failed"),
        ],
    );
    let text = junit(&failed());
    let document = Document::parse(&text).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("type"), Some("kernel_did_not_start"));
    let expected = format!(
        "{why}\nthe end of level 2's console:\n[    1.0] Kernel panic - not syncing: \u{fffd}[31m<no> init & \"so\"\n]]>"
    );
    assert_eq!(failure.text(), Some(expected.as_str()));
}

#[test]
fn a_level_without_any_report_still_fails() {
    let mut record = failed();
    record.levels.truncate(1);
    let outcomes = outcomes(&junit(&record));
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes[2].1.starts_with("failure "), "{outcomes:?}");
}

/// Each case's name and time.
fn times(text: &str) -> Vec<(String, String)> {
    let document = Document::parse(text).unwrap();
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let words = |case: Node<'_, '_>| ["name", "time"].map(|word| case.attribute(word).unwrap().to_owned());
    cases.map(|case| words(case).into()).collect()
}

#[test]
fn tests_that_ran_have_a_time() {
    let expect = |record: &Record, expected: &[(&str, &str)]| {
        let times = times(&junit(record));
        let times: Vec<_> = times.iter().map(|(name, time)| (name.as_str(), time.as_str())).collect();
        assert_eq!(times, expected);
    };
    expect(&passed(), &[("level 0", "4.600"), ("level 1", "4.300"), ("level 2", "2.200")]);
    // The levels below a failure end with the run.
    let mut record = program();
    record.levels[1].passed = None;
    expect(
        &record,
        &[("level 0", "4.600"), ("level 1", "4.400"), ("level 2", "2.700"), ("my<test>", "0.500")],
    );
    // A test that never ran has no time.
    let skipped = times(&junit(&skipped()));
    assert_eq!(skipped[2], ("level 2".to_owned(), "0.000".to_owned()));
}

#[test]
fn the_program_is_a_case_with_its_output() {
    let record = program();
    let why = "failure the program failed: my<test> ended with status 3";
    expect(
        &record,
        &[("level 0", "passed"), ("level 1", "passed"), ("level 2", "passed"), ("my<test>", why)],
    );
    let text = junit(&record);
    let document = Document::parse(&text).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("type"), Some("program_failed"));
    assert!(failure.text().unwrap().ends_with("\nthe end of my<test>'s console:\nnot ok 1"));
    let outputs: Vec<_> = document.descendants().filter(|node| node.has_tag_name("system-out")).collect();
    let printed = "(2,000,000 bytes before this)\n1..1\nnot ok 1 <&> \u{fffd}[31m";
    assert_eq!(outputs[3].text().unwrap(), printed);
    assert!(outputs[2].text().unwrap().starts_with("run by: nvmm on KVM\n"));
}

#[test]
fn a_program_that_passes_or_never_starts_is_a_case_too() {
    let mut record = program();
    record.verdict = Verdict::Passed;
    (record.levels[2].passed, record.levels[2].status) = (Some(4.2), Status::Passed);
    let ran = record.program.as_mut().unwrap();
    ran.status = Some(0);
    assert_eq!(outcomes(&junit(&record))[3], ("my<test>".to_owned(), "passed".to_owned()));
    // A level failed while it ran, or before that: a failure is reported once.
    let mut record = failed();
    let mut never = program().program.unwrap();
    (never.started, never.ended, never.status) = (None, None, None);
    record.program = Some(never);
    let outcomes = outcomes(&junit(&record));
    assert_eq!(outcomes[4], ("my<test>".to_owned(), "skipped level 2 failed".to_owned()));
    assert_eq!(outcomes.iter().filter(|(_, outcome)| outcome.starts_with("failure")).count(), 1);
}

#[test]
fn a_program_that_skips_itself_is_skipped_alone() {
    let mut record = program();
    record.verdict = Verdict::Skipped { why: "my<test> ended with status 77".into() };
    record.levels[2].status = Status::Skipped;
    let why = "skipped my<test> ended with status 77";
    expect(
        &record,
        &[("level 0", "passed"), ("level 1", "passed"), ("level 2", "passed"), ("my<test>", why)],
    );
}

#[test]
fn a_host_that_cannot_nest_skips_every_level() {
    let why = "skipped kvm_intel.nested is N";
    expect(&skipped(), &[("level 0", why), ("level 1", why), ("level 2", why)]);
}
