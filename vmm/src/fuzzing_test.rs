//! Tests of inputs that fuzzing has found or tried.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

/// The words of the dictionary, without their quotes.
fn dictionary() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/dictionaries/qemu.txt");
    let text = fs::read_to_string(file).unwrap();
    let words = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words.map(|word| word.replace("\\x0a", "\n").replace("\\\"", "\"")).collect()
}

proptest! {
    #[test]
    fn words_in_any_order(parts in prop::collection::vec((any::<prop::sample::Index>(), "[a-c0-9,=. \n]{0,3}"), 0..40)) {
        let words = dictionary();
        let line: String = parts.iter().map(|(word, rest)| word.get(&words).clone() + rest).collect();
        qemu_words(line.as_bytes());
    }
}

#[test]
fn qemus_words() {
    try_all("qemu_words", qemu_words);
}

#[test]
fn libvirts_domains() {
    try_all("domain_xml", domain_xml);
}

#[test]
fn viewers_messages() {
    try_all("vnc", vnc);
}

#[test]
fn option_words_in_any_order() {
    try_all("option_words", option_words);
}

#[test]
fn kernels() {
    try_all("kernel", kernel);
}

#[test]
fn qmps_commands() {
    try_all("qmp", qmp);
}

#[test]
fn snapshots_machines() {
    try_all("snapshot_machine", snapshot_machine);
}

#[test]
fn snapshots_states() {
    try_all("snapshot_state", snapshot_state);
}

fn try_all(target: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        // Names the file in case it fails.
        println!("{}", file.display());
        entry(&fs::read(file).unwrap());
    }
}
