//! `--domain`: puts the options from libvirt's XML in front of the options given next to it.

use std::{ffi::OsString, path::Path};

use clap::{Arg, Command, parser::ValueSource};
use devices::printable::ToPrintable;

use super::{
    added::Added,
    error::Error,
    qemu::{Note, Told},
};
use crate::{
    domain::{self, Beside, Word},
    small_file,
};

/// Adds the options of its file to the `words` of a `machine`.
///
/// # Errors
///
/// The file can't be read, or asks for features that nvmm lacks: all of them, one per line.
pub(super) fn add(
    path: &Path,
    words: &[OsString],
    machine: &Command,
    mut told: Told,
) -> Result<Added, Error> {
    let option = format!("--domain {}", path.printable());
    let text = small_file::read(path).map_err(|error| Error::Failed(format!("{option}: {error}")))?;
    let domain = domain::read(&text, path, &beside(words, machine), &domain::bridge_of)
        .map_err(|lines| Error::Wrong(lines.iter().map(|line| format!("{option}: {line}")).collect()))?;
    told.add(domain.missing.iter().map(|line| Note::Missing(format!("{option}: {line}"))));
    told.add(domain.idle.iter().map(|line| Note::Idle(format!("{option}: {line}"))));
    for word in &domain.words {
        let from = format!("{option}: {}", word.from);
        let ours = said(word);
        told.add([Note::Idle(format!("{from}: {ours}"))]);
        told.add_origin(ours, from);
    }
    let (name, ours) = words.split_at(words.len().min(1));
    let theirs = domain.words.iter().map(as_word);
    let words = name.iter().cloned().chain(theirs).chain(ours.iter().cloned()).collect();
    Ok(Added { words, told, text })
}

/// Finds the options given next to `--domain`.
fn beside(words: &[OsString], command: &Command) -> Beside {
    let longs = |argument: &Arg| argument.get_long().map(str::to_owned);
    let given = command.clone().try_get_matches_from(words).map(|matches| {
        let is_given = |argument: &&Arg| {
            matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        command.get_arguments().filter(is_given).filter_map(longs).collect()
    });
    Beside { given: given.unwrap_or_default() }
}

/// Joins an option and its value to one argument, since a value may begin with a dash.
pub(super) fn as_word(word: &Word) -> OsString {
    let Word { option, value, .. } = word;
    value.as_ref().map_or_else(|| format!("--{option}"), |value| format!("--{option}={value}")).into()
}

/// The option and its value in messages.
fn said(word: &Word) -> String {
    let Word { option, value, .. } = word;
    value
        .as_ref()
        .map_or_else(|| format!("--{option}"), |value| format!("--{option} {}", value.as_str().printable()))
}

#[cfg(test)]
#[path = "domain_test.rs"]
mod tests;
