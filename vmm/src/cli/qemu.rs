//! QEMU's command line, translated to nvmm's options.
//!
//! ```text
//! words --> options of QEMU (given.rs, keys.rs) --> each by its row of the table (table.rs), which resolves references (translator.rs) -->
//! nvmm's options --> clap
//! ```
//!
//! `--from-qemu` prints what clap gets.

mod chardev;
mod drive;
mod firmware;
mod given;
mod keys;
mod line;
mod machine;
mod medium;
mod net;
mod screen;
mod small;
mod table;
mod told;
mod translator;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use arch::suggest::nearest;
use clap::Command;

pub(super) use self::line::{command, words_of};
use self::{
    given::Given,
    table::{Meaning, OPTIONS, Row, find},
    translator::{Piece, Translator},
};
pub use self::{told::Told, translator::Note};

/// A command line in nvmm's words.
#[derive(Debug)]
pub(super) struct Translated {
    /// The words, the program's name first.
    pub words: Vec<OsString>,
    /// The notes for the user about them.
    pub told: Told,
}

/// The options of a machine by their names, each with whether it takes a value.
type Own = BTreeMap<String, bool>;

/// Returns whether words may be QEMU's, or have one dash where nvmm's have two.
pub(super) fn may_be_qemus(words: &[OsString]) -> bool {
    let options = words.iter().skip(1).take_while(|word| *word != "--");
    options.filter_map(|word| Some((word, name_of(word)?))).any(|(word, name)| {
        let row = find(OPTIONS, name).map(|(row, _)| row);
        match (word.as_encoded_bytes(), row) {
            ([b'-', b'-', ..], row) => row.is_some_and(|row| !row.is_nvmms()),
            (_, Some(row)) => name.len() > 1 || !row.is_nvmms(),
            // -m2G, -vv
            (_, None) => {
                name.len() > 1
                    && name.as_bytes().get(1).is_some_and(|byte| byte.is_ascii_lowercase() && *byte != b'v')
            }
        }
    })
}

/// Returns nvmm's words for those of a command line. `is_qemus`: it is QEMU's as a whole, in which a word that is no option is a disk.
///
/// # Errors
///
/// A line for each option that can't be met.
pub(super) fn translate(
    words: &[OsString],
    machine: &Command,
    is_qemus: bool,
) -> Result<Translated, Vec<String>> {
    let own = own_options(machine);
    let Read { given, pieces, faults } = read(words, &own, is_qemus);
    let mut translator = Translator::new(&given);
    translator.pieces = pieces;
    faults.iter().for_each(|(at, line)| translator.fault(*at, line));
    // Parts first, to which devices before them may refer.
    for defining in [true, false] {
        for given in &given {
            if let Some((row, _)) = find(OPTIONS, given.name) {
                apply(&mut translator, given, row, &format!("-{}", given.name), defining);
            }
        }
    }
    machine::finish(&mut translator);
    drive::finish(&mut translator);
    net::finish(&mut translator, is_qemus || given.iter().any(|given| !is_nvmms(given.name)));
    firmware::finish_flash(&mut translator);
    firmware::finish_boot(&mut translator);
    translator.refuse_unused();
    let (mut pieces, notes) = translator.into_result()?;
    pieces.sort_by_key(|piece| piece.at);
    let told = Told::new(notes, pieces.iter().filter_map(Piece::origin).collect());
    let words =
        words.first().cloned().into_iter().chain(pieces.into_iter().flat_map(|piece| piece.words)).collect();
    Ok(Translated { words, told })
}

/// The name of an option: without its dashes, and without `=VALUE`.
pub(super) fn name_of(word: &OsStr) -> Option<&str> {
    let bytes = word.as_bytes();
    let name = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    let name = name.split(|byte| *byte == b'=').next()?;
    str::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// The names and aliases of the options with two dashes.
pub(super) fn own_options(machine: &Command) -> Own {
    let of_machine = machine.get_arguments().flat_map(|option| {
        let takes_value = option.get_action().takes_values();
        let aliases = option.get_all_aliases().unwrap_or_default();
        option
            .get_long()
            .into_iter()
            .chain(aliases)
            .map(move |name| (name.to_owned(), takes_value))
            .collect::<Vec<_>>()
    });
    of_machine.chain(["help", "version"].map(|name| (name.to_owned(), false))).collect()
}

fn is_nvmms(name: &str) -> bool {
    find(OPTIONS, name).is_some_and(|(row, _)| row.is_nvmms())
}

/// A command line, read.
#[derive(Default)]
struct Read {
    /// QEMU's options.
    given: Vec<Given>,
    /// Other words, with two dashes where nvmm's have one.
    pieces: Vec<Piece>,
    faults: Vec<(usize, String)>,
}

fn read(words: &[OsString], own: &Own, is_qemus: bool) -> Read {
    let mut read = Read::default();
    let mut rest = words.iter().enumerate().skip(1).peekable();
    while let Some((at, word)) = rest.next() {
        if word == "--" {
            let left = [word].into_iter().chain(rest.by_ref().map(|(_, word)| word)).cloned().collect();
            read.pieces.push(Piece { at, words: left, from: None });
            break;
        }
        let Some(name) = name_of(word) else {
            match is_qemus && word != "-" {
                true => read.given.push(Given { at, name: "hda", value: word.clone() }),
                false => read.pieces.push(Piece { at, words: vec![word.clone()], from: None }),
            }
            continue;
        };
        let bytes = word.as_bytes();
        let with_it = bytes
            .iter()
            .position(|byte| *byte == b'=')
            .map(|at| OsStr::from_bytes(&bytes[at + 1..]).to_owned());
        let is_option = |word: &OsString| {
            name_of(word).is_some_and(|name| own.contains_key(name) || find(OPTIONS, name).is_some())
        };
        match (find(OPTIONS, name), own.get(name)) {
            (Some((row, name)), _) => {
                let value = match (row.takes_value, with_it) {
                    (true, None) => {
                        rest.next_if(|(_, next)| !is_option(next)).map(|(_, value)| value.clone())
                    }
                    (true, value) => value,
                    (false, None) => Some(OsString::new()),
                    (false, Some(_)) => {
                        read.faults.push((at, format!("-{name} takes no value")));
                        continue;
                    }
                };
                match value {
                    Some(value) => read.given.push(Given { at, name, value }),
                    None => read.faults.push((at, format!("-{name} needs a value"))),
                }
            }
            (None, Some(takes_value)) if name.len() > 1 => {
                let dashes = if bytes.starts_with(b"--") { "" } else { "-" };
                let mut option = OsString::from(dashes);
                option.push(word);
                let is_alone = !takes_value || with_it.is_some();
                let value = match is_alone {
                    true => None,
                    false => rest
                        .next_if(|(_, next)| !next.as_bytes().starts_with(b"-"))
                        .map(|(_, next)| next.clone()),
                };
                read.pieces.push(Piece {
                    at,
                    words: [option].into_iter().chain(value).collect(),
                    from: None,
                });
            }
            _ if is_no_memory(bytes, name) => {
                read.faults.push((at, format!("-{name}: no such option{}", nearest_of(name, own, true))));
            }
            _ => read.pieces.push(Piece { at, words: vec![word.clone()], from: None }),
        }
    }
    read
}

/// Returns whether clap would take a slip of the fingers for `-m` and its value: `-memroy`.
fn is_no_memory(word: &[u8], name: &str) -> bool {
    let rest = name.strip_prefix('m').filter(|_| !word.starts_with(b"--"));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()) && rest != "size")
}

/// `; did you mean --memory?`, if an option of `own` is like `name`, or, `with_qemus`, one of QEMU's.
pub(super) fn nearest_of(name: &str, own: &Own, with_qemus: bool) -> String {
    let qemus = OPTIONS.iter().filter(|_| with_qemus).flat_map(|row| row.names).copied();
    let near = nearest(name, own.keys().map(String::as_str).chain(qemus));
    let dashes = |near: &str| if own.contains_key(near) { "--" } else { "-" };
    near.first().map(|near| format!("; did you mean {}{near}?", dashes(near))).unwrap_or_default()
}

/// Gives an option, called `name`, the meaning of its row. `defining`: only if others may refer to it.
fn apply(translator: &mut Translator, given: &Given, row: &Row, name: &str, defining: bool) {
    let done = match row.meaning {
        Meaning::By(rows, key, others) => {
            return apply_kind(translator, given, (rows, key, others), defining);
        }
        Meaning::Defines(handler) if defining => handler(translator, given),
        Meaning::Does(handler) | Meaning::Shared(handler) if !defining => handler(translator, given),
        _ if defining => Ok(()),
        Meaning::Same(long) => {
            let option = format!("--{long}");
            match row.takes_value {
                true => translator.pass(given, &option),
                false => translator.emit(given, &option, None),
            }
            Ok(())
        }
        Meaning::Is(option, value) => {
            translator.emit(given, option, value.map(OsString::from));
            Ok(())
        }
        Meaning::Idle(why) => {
            translator.idle(given, why);
            Ok(())
        }
        Meaning::Without(why) => {
            translator.missing(given, why);
            translator.forgive(given);
            Ok(())
        }
        Meaning::No(instead) => {
            translator.fault(given.at, &format!("{name} is QEMU's: {instead}"));
            translator.forgive(given);
            Ok(())
        }
        Meaning::Defines(_) | Meaning::Does(_) | Meaning::Shared(_) => Ok(()),
    };
    if let Err(why) = done {
        translator.fault(given.at, &format!("{given}: {why}"));
        translator.forgive(given);
    }
}

/// Gives an option the meaning of its value's first word, which has a row of its own.
fn apply_kind(
    translator: &mut Translator,
    given: &Given,
    (rows, key, others): (&'static [Row], &str, &str),
    defining: bool,
) {
    let kind = match given.keys(key) {
        Ok(mut keys) => keys.take(key).unwrap_or_default(),
        Err(why) => return translator.fault(given.at, &format!("{given}: {why}")),
    };
    let name = format!("-{} {kind}", given.name);
    match find(rows, &kind) {
        Some((row, _)) => apply(translator, given, row, &name, defining),
        None => {
            translator.fault(given.at, &format!("{} is QEMU's: {others}", name.trim_end()));
            translator.forgive(given);
        }
    }
}

#[cfg(test)]
#[path = "qemu_test.rs"]
mod tests;
