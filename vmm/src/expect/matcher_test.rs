use proptest::prelude::*;
use regex_automata::dfa::{Automaton, dense};

use super::*;

const PATTERNS: [&str; 6] = ["login: ", "[#$] $", r"^done\b", "a+b", r"\d+%", "x|yz"];

fn matcher(patterns: &[&str]) -> Matcher {
    Matcher::new(patterns.iter().map(|pattern| Pattern::regex(pattern).unwrap()).collect())
}

/// The position at which each pattern was matched.
fn meetings(patterns: &[&str], pieces: &[&[u8]]) -> Vec<(usize, u64)> {
    let mut matcher = matcher(patterns);
    let mut met = Vec::new();
    for piece in pieces {
        if matcher.feed(piece) {
            met.push((matcher.met(), matcher.count()));
        }
    }
    met
}

#[test]
fn each_pattern_is_looked_for_after_the_one_before() {
    let mut matcher = matcher(&["login: ", "login: ", "x"]);
    assert!(!matcher.feed(b"login:"));
    assert!(matcher.feed(b" x login"));
    assert_eq!(matcher.met(), 1);
    // It may arrive before the answer to the first is typed.
    assert!(matcher.feed(b": x"));
    assert_eq!(matcher.met(), 3);
    assert!(!matcher.feed(b"x"));
}

#[test]
fn the_byte_that_shows_an_end_belongs_to_the_next() {
    let mut matcher = matcher(&["a$", "\n", "^b"]);
    assert!(matcher.feed(b"a\nb"));
    assert_eq!(matcher.met(), 3);
}

#[test]
fn a_pause_is_an_end() {
    let mut matcher = matcher(&["[#$] $", "[#$] $"]);
    assert!(!matcher.feed(b"# "));
    assert!(matcher.pause());
    // It does not also match the next one.
    assert!(!matcher.pause());
    assert!(!matcher.feed(b"\x1b[m$ "));
    assert!(matcher.pause());
    assert!(!matcher.pause());
}

#[test]
fn the_last_lines_are_printable_and_few() {
    let mut matcher = matcher(&["never"]);
    assert_eq!(matcher.last_lines(), [""; 0]);
    matcher.feed(b"\r\n\x1b[1mone\x1b[0m\r\n\r\ntwo\x07\xff\r\n\r\n");
    assert_eq!(matcher.last_lines(), ["one", "", r"two\x07\xff"]);
    for _ in 0..100_000 {
        matcher.feed(b"line\r\n");
    }
    assert_eq!(matcher.last_lines(), ["line"; LINES]);
    assert!(matcher.kept.len() <= KEPT);
    matcher.feed(&[b'x'; 100_000]);
    assert_eq!(matcher.last_lines(), ["x".repeat(KEPT)]);
}

/// Texts in which the patterns often match.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"login: ".to_vec()),
        Just(b"# ".to_vec()),
        Just(b"done".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\x1b[32m".to_vec()),
        Just(b"\x1b]0;title\x07".to_vec()),
        Just(b"aab50%yz".to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The stream byte by byte and in pieces gives the same matches, as early as a piece allows.
    #[test]
    fn matches_do_not_depend_on_the_division_of_the_stream(
        output in output(),
        patterns in prop::collection::vec(prop::sample::select(&PATTERNS[..]), 1..5),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes: Vec<_> = output.chunks(1).collect();
        let each = meetings(&patterns, &bytes);
        cuts.sort_by_key(|cut| cut.index(output.len() + 1));
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.iter().map(|cut| cut.index(output.len() + 1)).chain([output.len()]) {
            pieces.push(&output[from..to]);
            from = to;
        }
        let mut cut = matcher(&patterns);
        for piece in pieces {
            cut.feed(piece);
            let expected = each.iter().rev().find(|(_, count)| *count <= cut.count()).map_or(0, |(met, _)| *met);
            prop_assert_eq!(cut.met(), expected);
        }
    }

    /// The first match is where the regex crate's automaton finds the first end of a match in the plain text.
    #[test]
    fn the_first_match_is_the_regex_crates(output in output(), pattern in prop::sample::select(&PATTERNS[..])) {
        let mut plain = Plain::default();
        let text: Vec<u8> = output.iter().flat_map(|&byte| plain.push(byte)).collect();
        let syntax = regex_automata::util::syntax::Config::new().unicode(false).utf8(false).multi_line(true).crlf(true);
        let whole = dense::Builder::new()
            .syntax(syntax)
            .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
            .build(pattern)
            .unwrap();
        let search = regex_automata::Input::new(&text).earliest(true);
        let is_found = whole.try_search_fwd(&search).unwrap().is_some();
        let mut matcher = matcher(&[pattern]);
        let met = matcher.feed(&output) || matcher.pause();
        prop_assert_eq!(met, is_found);
    }
}
