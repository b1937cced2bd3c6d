//! QEMU's options among the words of a command line with two dashes, and their values.

use std::{borrow::Cow, ffi::OsString};

/// Keys of `-device` that say what nvmm does in any case, with the values that say so: none stands for any.
const ALWAYS: [(&str, &[&str]); 6] = [
    ("vectors", &[]),
    ("romfile", &[]),
    ("rombar", &[]),
    ("disable-legacy", &["on", "true"]),
    ("disable-modern", &["off", "false"]),
    ("packed", &["off", "false"]),
];

/// An option of the command line.
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The words that it takes: one with `=`, else two.
    words: usize,
}

/// A value: its first word, and the keys after it.
pub(super) struct Value<'a> {
    pub(super) first: &'a str,
    pub(super) keys: Vec<&'a str>,
}

/// nvmm's option with its value, or none where another option says it.
pub(super) type Ours = Option<(&'static str, String)>;

/// The options with a value, each with its place. Those of `bare` are there without one, too.
pub(super) fn options<'a>(words: &'a [OsString], bare: &[&str]) -> impl Iterator<Item = (usize, Given<'a>)> {
    let before_programs = words.iter().take_while(|word| *word != "--").enumerate().skip(1);
    before_programs.filter_map(move |(at, word)| {
        let option = word.to_str()?.strip_prefix("--")?;
        if let Some((name, value)) = option.split_once('=') {
            return Some((at, Given { name, value, words: 1 }));
        }
        let next = words.get(at + 1).filter(|next| !next.as_encoded_bytes().starts_with(b"--"));
        match next {
            // Of nvmm's own options clap says that.
            None => bare.contains(&option).then_some((at, Given { name: option, value: "", words: 1 })),
            Some(value) => Some((at, Given { name: option, value: value.to_str()?, words: 2 })),
        }
    })
}

/// The command line with what `ours` has for an option of QEMU's in its place. One that can't be had, by an error, is left out and told
/// of; options that `ours` does not know stay.
pub(super) fn respell<'a>(
    words: &'a [OsString],
    bare: &[&str],
    mut ours: impl FnMut(&Given<'a>) -> Option<Result<Ours, String>>,
) -> (Cow<'a, [OsString]>, Vec<String>) {
    let (mut respelled, mut faults, mut done) = (Vec::new(), Vec::new(), 0);
    for (at, given) in options(words, bare) {
        let Some(found) = ours(&given) else { continue };
        respelled.extend_from_slice(&words[done..at]);
        match found {
            Ok(Some((name, value))) => respelled.extend([name.into(), value.into()]),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
        done = at + given.words;
    }
    if done == 0 {
        return (Cow::Borrowed(words), faults);
    }
    respelled.extend_from_slice(&words[done..]);
    (Cow::Owned(respelled), faults)
}

/// Returns whether nvmm does what a key of `-device` says in any case.
pub(super) fn is_always(key: &str, value: &str) -> bool {
    ALWAYS.iter().any(|(name, values)| *name == key && (values.is_empty() || values.contains(&value)))
}

impl<'a> Value<'a> {
    pub(super) fn of(value: &'a str) -> Self {
        let mut parts = value.split(',');
        Self { first: parts.next().unwrap_or_default(), keys: parts.collect() }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.keys.iter().find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.keys.retain(|part| part.split('=').next() != Some(key));
    }

    /// The keys, each with its value, and as they are written. One without a value is on.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.keys.iter().map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, "on"));
            (key, value, *part)
        })
    }
}
