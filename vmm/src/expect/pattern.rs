//! Texts and regular expressions, which are looked for in a stream byte by byte.
//!
//! The regex crate's engines search a text that is in memory as a whole. It must make no difference how a console's output is cut into
//! pieces; so this steps their automaton itself.

use std::{fmt, sync::Arc};

use regex_automata::{
    Anchored, MatchKind,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson::{self, NFA, WhichCaptures},
    util::{primitives::StateID, start},
};
use regex_syntax::{ParserBuilder, hir::Hir};

/// The size limit in bytes for an automaton, and for building it.
const MOST_BYTES: usize = 1 << 22;

/// One byte of each kind that may follow: to tests for the end of a line or a word, all bytes are like one of these.
const FOLLOWING: [u8; 4] = [b'\n', b'\r', b'a', b' '];

/// A text or a regular expression to look for. It is found at the first byte that completes it, whatever follows.
#[derive(Clone)]
pub(crate) struct Pattern {
    dfa: Arc<dense::DFA<Vec<u32>>>,
    looks_around: bool,
}

/// The state of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position(StateID);

/// The outcome of one more byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Not found yet.
    On(Position),
    /// Found; the byte is its last one.
    Found,
    /// Found before the byte, which was needed to know that.
    FoundBefore,
}

/// Reasons why a regular expression can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatternError {
    /// The text is not a regular expression. The message shows the place of the fault.
    #[error("{0}")]
    Syntax(Box<regex_syntax::Error>),
    /// The pattern would match before the guest has printed anything.
    #[error(
        "this matches the empty text, so it would be met at once; leave out what makes all of it optional"
    )]
    MatchesNothing,
    /// The pattern matches no text.
    #[error("no text matches this")]
    NeverMatches,
    /// The automaton is too large.
    #[error(
        "this takes more than {} MiB to look for; write * instead of a counted repeat such as {{0,100}}",
        MOST_BYTES >> 20
    )]
    TooLarge,
    /// An automaton can't find the boundaries of Unicode words.
    #[error(r"\b and \B know the words of ASCII only; leave out (?u)")]
    UnicodeWords,
}

impl Pattern {
    /// Makes a pattern for `text`, which is not empty, taken literally.
    pub(crate) fn text(text: &[u8]) -> Result<Self, PatternError> {
        Self::of(&Hir::literal(text))
    }

    /// Makes a pattern for a regular expression in the regex crate's syntax for bytes: `^` and `$` match at a line's ends, `.` is any byte
    /// in a line, and `\w`, `\d`, `\s` and `\b` are for ASCII.
    pub(crate) fn regex(expression: &str) -> Result<Self, PatternError> {
        let mut parser = ParserBuilder::new().unicode(false).utf8(false).multi_line(true).crlf(true).build();
        Self::of(&parser.parse(expression).map_err(|error| PatternError::Syntax(Box::new(error)))?)
    }

    fn of(expression: &Hir) -> Result<Self, PatternError> {
        match expression.properties().minimum_len() {
            Some(0) => return Err(PatternError::MatchesNothing),
            None => return Err(PatternError::NeverMatches),
            Some(_) => {}
        }
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(MOST_BYTES))
            .which_captures(WhichCaptures::None);
        // It can only fail because of the limit.
        let nfa = NFA::compiler()
            .configure(config)
            .build_from_hir(expression)
            .map_err(|_| PatternError::TooLarge)?;
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(MOST_BYTES))
            .determinize_size_limit(Some(MOST_BYTES));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|error| {
            // There is only one other reason.
            if error.is_size_limit_exceeded() { PatternError::TooLarge } else { PatternError::UnicodeWords }
        })?;
        Ok(Self { dfa: Arc::new(dfa), looks_around: !nfa.look_set_any().is_empty() })
    }

    /// The start of a search after the byte `before`, if there was one.
    pub(crate) fn start(&self, before: Option<u8>) -> Position {
        let config = start::Config::new().anchored(Anchored::No).look_behind(before);
        // It can't fail: the automaton has no quit bytes, and the search is not anchored.
        Position(self.dfa.start_state(&config).unwrap_or_default())
    }

    /// Handles one more byte.
    pub(crate) fn step(&self, from: Position, byte: u8) -> Step {
        let state = self.dfa.next_state(from.0, byte);
        // The automaton reports a match one byte late.
        if self.dfa.is_match_state(state) {
            return Step::FoundBefore;
        }
        let is_found = |next| self.dfa.is_match_state(next);
        let by_all = FOLLOWING.iter().all(|&byte| is_found(self.dfa.next_state(state, byte)));
        if by_all && is_found(self.dfa.next_eoi_state(state)) {
            Step::Found
        } else {
            Step::On(Position(state))
        }
    }

    /// Returns whether it is found if nothing follows: `$` also matches where the guest pauses, as at a prompt.
    pub(crate) fn ends_at(&self, at: Position) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(at.0))
    }

    /// Returns whether [`Pattern::ends_at`] can find more than [`Pattern::step`] does.
    pub(crate) fn looks_around(&self) -> bool {
        self.looks_around
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("looks_around", &self.looks_around).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pattern_test.rs"]
mod tests;
