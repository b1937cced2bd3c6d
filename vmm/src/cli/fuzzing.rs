//! Fuzzing of command lines of QEMU and nvmm, of libvirt's XML, and of the options in a snapshot.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::LazyLock,
};

use clap::{CommandFactory, Parser};

use super::{
    MachineAlone,
    domain::as_word,
    qemu::{command, may_be_qemus, translate, words_of},
};
use crate::{
    config::VmConfig,
    domain::{self, Beside},
    snapshot,
};

static MACHINE: LazyLock<clap::Command> = LazyLock::new(MachineAlone::command);

/// Parses a command line: with an argument per line, and as one text.
///
/// # Panics
///
/// A refusal has no reason, or the arguments change when a shell reads them.
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

/// Parses a libvirt domain.
///
/// # Panics
///
/// A refusal has no reason or a long one, or the resulting options are not nvmm's.
pub fn domain_xml(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let beside = Beside::default();
    let domain = match domain::read(text, Path::new("vm.xml"), &beside, &|_| Ok("virbr0".to_owned())) {
        Ok(domain) => domain,
        Err(lines) => {
            return assert!(!lines.is_empty() && lines.iter().all(|line| (1..2000).contains(&line.len())));
        }
    };
    let words = ["nvmm".into()].into_iter().chain(domain.words.iter().map(as_word));
    let parsed = MachineAlone::try_parse_from(words);
    assert!(parsed.is_ok(), "{parsed:?}");
    if let Ok(MachineAlone { mut machine }) = parsed {
        machine.domain = Some("vm.xml".into());
        machine.domain_text = Some(text.to_owned());
        // The options may have invalid values.
        drop(VmConfig::new(&machine));
    }
}

/// Restores a machine from a snapshot's `machine.json` without its checksum, as far as possible without KVM.
///
/// # Panics
///
/// An option is read differently after it was written.
pub fn snapshot_machine(data: &[u8]) {
    let Some(snapshot) = snapshot::fuzzing::machine(data) else { return };
    let line = ["nvmm", "--restore", "snap"].map(OsString::from);
    let words = match snapshot.command_line(&line) {
        Ok(words) => words,
        Err(lines) => return assert!(!lines.is_empty()),
    };
    let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(words) else { return };
    if let Ok(config) = VmConfig::new(&machine) {
        snapshot::fuzzing::build(&snapshot, &config);
    }
}

/// Parses a command line of nvmm, with an argument per line. A snapshot saves its options, and is restored with them.
///
/// # Panics
///
/// The options of a machine change when they are saved.
pub fn option_words(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
    let words: Vec<_> = [OsString::from("nvmm")].into_iter().chain(lines).collect();
    let Ok(MachineAlone { machine }) = MachineAlone::try_parse_from(&words) else { return };
    // Their values may be invalid.
    let _ = VmConfig::new(&machine);
    snapshot::fuzzing::keep(&words);
}
