use roxmltree::{Document, ParsingOptions};

use super::super::tests::{explained, failed, passed, program, skipped};
use super::*;

/// Parses the body as XML, so that every element must be closed and every character escaped.
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
fn a_failure_shows_its_console_and_the_failed_level() {
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
fn a_skip_has_a_reason() {
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

/// W3C's WCAG 2.2, "Relative luminance" and "Contrast ratio".
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let digits = colour.strip_prefix('#').unwrap();
        let digits = if digits.len() == 3 {
            digits.chars().flat_map(|digit| [digit, digit]).collect()
        } else {
            digits.to_owned()
        };
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG requires 4.5 for small text.
#[test]
fn text_is_readable_in_light_and_in_dark() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for (theme, style) in [("light", light), ("dark", dark)] {
        let colour = |name: &str| {
            let (_, after) = style.split_once(&format!("--{name}: ")).unwrap();
            after.split(';').next().unwrap()
        };
        let rule = STYLE.split_once(".track i.entry { color: ").unwrap().1;
        let on_entry = rule.split(';').next().unwrap();
        let on_bars = ["boot", "kvm", "work", "program", "bad"].map(|bar| (colour("on-bar"), bar));
        let on_page = ["text", "faint", "good", "bad", "middle"].map(|text| (colour(text), "back"));
        for (text, back) in
            on_bars.into_iter().chain(on_page).chain([(on_entry, "entry"), (colour("text"), "guest")])
        {
            let ratio = contrast(text, colour(back));
            assert!(ratio >= 4.5, "{theme}: {text} on {back} {}: {ratio:.2}", colour(back));
        }
    }
}

/// A length that doesn't fit must be hidden as a whole, which needs a place before it where the line may break.
#[test]
fn lengths_of_bars_are_whole_or_not_there() {
    let page = html(&passed());
    with_body(&page, |document| {
        let bars = document.descendants().filter(|node| node.has_tag_name("i"));
        let mut lengths = 0;
        for bar in bars {
            let texts: Vec<_> = bar.children().collect();
            match &texts[..] {
                [] => assert!(bar.attribute("class").unwrap().ends_with(" short")),
                [before, length] => {
                    assert_eq!((before.text(), length.tag_name().name()), (Some("\u{200b}"), "b"));
                    assert!(length.text().unwrap().ends_with(" s"));
                    lengths += 1;
                }
                _ => panic!("{texts:?}"),
            }
        }
        assert!(lengths >= 3, "{lengths}");
    });
}
