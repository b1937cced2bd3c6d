use roxmltree::{Document, ParsingOptions};

use super::super::tests::{explained, failed, passed, program, skipped};
use super::*;

/// The body, as XML: every element is closed and every character escaped.
fn with_body<T>(page: &str, look: impl Fn(&Document<'_>) -> T) -> T {
    let (_, body) = page.split_once("<body>").unwrap();
    let (body, _) = body.split_once("</body>").unwrap();
    let body = format!("<body>{body}</body>");
    look(&Document::parse_with_options(&body, ParsingOptions::default()).unwrap())
}

/// All text, in order.
fn text(page: &str) -> String {
    with_body(page, |document| {
        document.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
    })
}

fn bars(page: &str, class: &str) -> usize {
    with_body(page, |document| {
        let bars = document.descendants().filter(|node| node.has_tag_name("i"));
        bars.filter(|node| node.attribute("class").unwrap().split(' ').any(|each| each == class)).count()
    })
}

#[test]
fn a_page_needs_nothing_but_itself() {
    for record in [passed(), failed(), skipped(), explained()] {
        let page = html(&record);
        with_body(&page, |_| ());
        for outside in ["http", "src=", "url(", "@import", "<script", "<link", "href"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }
}

#[test]
fn a_run_that_passed_shows_times_and_differences() {
    let page = html(&passed());
    assert_eq!(
        (bars(&page, "boot"), bars(&page, "guest"), bars(&page, "work"), bars(&page, "stuck")),
        (2, 2, 1, 0)
    );
    let text = text(&page);
    for part in [
        "2 levels passed in 4.6 s",
        "What level 1 lacks that level 0 has (1)",
        "vmx-pml",
        "What level 1 has that level 0 lacks (1)",
        "hypervisor",
        "Both have 5 more.",
        "Level 2 has what level 1 has (6)",
        "146,200",
        "nested entries",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("console"), "{text}");
}

#[test]
fn a_failure_shows_its_console_and_who_is_to_blame() {
    let page = html(&failed());
    assert_eq!((bars(&page, "stuck"), bars(&page, "cut")), (1, 2));
    let text = text(&page);
    for part in [
        "level 2 of 3 failed after 60.0 s: the kernel did not start",
        "timed out before its kernel ran /init <\"&'>",
        "The end of level 2's console",
        "Kernel panic - not syncing: \u{fffd}[31m<no> init & \"so\"\n]]>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_skip_says_why() {
    let page = html(&skipped());
    assert!(text(&page).contains("2 levels skipped: kvm_intel.nested is N"));
    assert_eq!(bars(&page, "boot"), 0);
}

#[test]
fn the_program_s_output_is_on_the_page() {
    let text = html(&program());
    let line = "<p>my&lt;test&gt; at level 2: status 3 after 0.5 s, 2,000,023 bytes of output</p>";
    let output = "<pre>(2,000,000 bytes before this)\n1..1\nnot ok 1 &lt;&amp;&gt; \u{fffd}[31m</pre>";
    assert!(text.contains(line) && text.contains(output), "{text}");
    assert!(!html(&passed()).contains("<h2>Program</h2>"));
}
