//! Fuzzing of QEMU's words.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    sync::LazyLock,
};

use clap::CommandFactory;

use super::{
    MachineAlone,
    qemu::{command, may_be_qemus, translate, words_of},
};

static MACHINE: LazyLock<clap::Command> = LazyLock::new(MachineAlone::command);

/// Gives nvmm a command line: a word in each line, and all of it as one text.
///
/// # Panics
///
/// A refusal has no reason, or the words are others once a shell has read them.
pub fn qemu_words(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
    let words: Vec<_> = [OsString::from("nvmm")].into_iter().chain(lines).collect();
    may_be_qemus(&words);
    look_at(&words, false);
    look_at(&words, true);
    if let Ok(words) = words_of(OsStr::from_bytes(data)) {
        look_at(&words, true);
    }
}

fn look_at(words: &[OsString], is_qemus: bool) {
    let words = match translate(words, &MACHINE, is_qemus) {
        Ok(translated) => translated.words,
        Err(lines) => return assert!(!lines.is_empty() && !lines.iter().any(String::is_empty)),
    };
    let texts: Option<Vec<_>> = words.iter().map(|word| word.to_str()).collect();
    if let Some(texts) = texts {
        assert!(shell_words::split(&command(&words)).is_ok_and(|again| again == texts));
    }
}
