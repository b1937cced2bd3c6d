use super::*;

fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.to_owned(), blocks }
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.to_owned())
}

fn entry(key: &str, text: &str) -> (String, String) {
    (key.to_owned(), text.to_owned())
}

#[test]
fn statuses_are_a_list() {
    let text = "Exit status:\n  0    it\n       passed\n  10+N  level N failed\n";
    let list = vec![entry("0", "it passed"), entry("10+N", "level N failed")];
    assert_eq!(sections(text), [section("Exit status", vec![Block::List(list)])]);
}

#[test]
fn statuses_in_a_sentence_are_a_paragraph() {
    assert_eq!(sections("Exit status: 0; or 1"), [section("Exit status", vec![paragraph("0; or 1")])]);
}

#[test]
fn examples_and_keys_stay_in_lines() {
    let text =
        "The terminal is raw, except\n  Ctrl-A x   leave\n\nExamples:\n  nvmm a\n    b\n\nMore of\nit.\n";
    let lines = |lines: &[&str]| Block::Lines(lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(
        sections(text),
        [
            section("", vec![paragraph("The terminal is raw, except"), lines(&["Ctrl-A x   leave"])]),
            section("Examples", vec![lines(&["nvmm a", "  b"]), paragraph("More of it.")]),
        ]
    );
}
