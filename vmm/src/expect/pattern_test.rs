use super::*;

/// The number of bytes of `text` after which the pattern matches, if it does.
fn found(pattern: &Pattern, text: &[u8]) -> Option<usize> {
    let mut position = pattern.start(None);
    for (before, &byte) in text.iter().enumerate() {
        match pattern.step(position, byte) {
            Step::On(next) => position = next,
            Step::Found => return Some(before + 1),
            Step::FoundBefore => return Some(before),
        }
    }
    pattern.ends_at(position).then_some(text.len())
}

fn regex(expression: &str, text: &[u8]) -> Option<usize> {
    found(&Pattern::regex(expression).unwrap(), text)
}

#[test]
fn a_text_is_found_as_it_is() {
    let find = |pattern: &[u8], text: &[u8]| found(&Pattern::text(pattern).unwrap(), text);
    assert_eq!(find(b"login: ", b"a login: b"), Some(9));
    assert_eq!(find(b"aab", b"aaab"), Some(4));
    assert_eq!(find(b".*", b"a.b .*"), Some(6));
    assert_eq!(find(b"\xff\x00", b"\xff\xff\x00"), Some(3));
    assert_eq!(find("größer".as_bytes(), "größer".as_bytes()), Some(8));
    assert_eq!(find(b"login: ", b"login:"), None);
}

#[test]
fn a_match_ends_at_its_first_possible_end() {
    assert_eq!(regex("a+", b"xaaa"), Some(2));
    assert_eq!(regex("a+b|a", b"aab"), Some(1));
    assert_eq!(regex("status=[0-9]+", b"status=12"), Some(8));
    assert_eq!(regex("(login|user): $|never", b"login: "), Some(7));
}

#[test]
fn the_ends_of_lines_and_words_are_seen() {
    assert_eq!(regex("^done", b"not done\ndone"), Some(13));
    // A progress bar restarts its line.
    assert_eq!(regex("^20%", b"10%\r20%"), Some(7));
    // Only the kind of the following byte is needed.
    assert_eq!(regex(r"done$", b"done, done\nx"), Some(10));
    assert_eq!(regex(r"\bok\b", b"oks ok."), Some(6));
    assert_eq!(regex("a.b", b"a\nb a\xffb"), Some(7));
    // The end of the output counts as an end.
    assert_eq!(regex("[#$] $", b"# ls\n$ "), Some(7));
    // The following bytes can't change this any more.
    assert!(matches!(
        Pattern::regex("x$|y").map(|pattern| pattern.step(pattern.start(None), b'y')),
        Ok(Step::Found)
    ));
}

#[test]
fn assertions_see_the_byte_before_the_start() {
    let pattern = Pattern::regex("^a").unwrap();
    assert!(matches!(pattern.step(pattern.start(Some(b'x')), b'a'), Step::On(_)));
    assert!(matches!(pattern.step(pattern.start(Some(b'\n')), b'a'), Step::Found));
}

#[test]
fn unsupported_patterns_are_refused() {
    let refused = |expression| Pattern::regex(expression).unwrap_err();
    for empty in ["", "a*", "^", "$", r"\b", "(a|)"] {
        assert!(matches!(refused(empty), PatternError::MatchesNothing), "{empty}");
    }
    assert!(matches!(refused("[a&&b]"), PatternError::NeverMatches));
    assert!(matches!(refused("a.{0,60}b.{0,60}c"), PatternError::TooLarge));
    assert!(matches!(
        refused("(((a{1000}){1000}){1000}){1000}"),
        PatternError::TooLarge | PatternError::Syntax(_)
    ));
    assert!(matches!(refused("a("), PatternError::Syntax(_)));
    assert!(matches!(refused(r"(?u)\bok"), PatternError::UnicodeWords));
}

#[test]
fn counted_repeats_of_usual_sizes_are_looked_for() {
    assert_eq!(regex(r"rc=[0-9]{1,3}\b", b"rc=127\n"), Some(6));
    assert_eq!(regex(r"\.{100}", &[b'.'; 120]), Some(100));
}
