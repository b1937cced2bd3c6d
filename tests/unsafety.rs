//! The number of `unsafe` in nvmm, which is given in the manual: adding one is a decision.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

/// Suffixes of the names of files that are not part of nvmm.
const TESTS: [&str; 3] = ["_test", "testing", "fuzzing"];

/// nvmm's source files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    let is_tests = |path: &Path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        name.starts_with("test_") || TESTS.iter().any(|end| name.ends_with(end))
    };
    files.filter(|path| path.extension().is_some_and(|end| end == "rs") && !is_tests(path)).collect()
}

/// The number of `unsafe` blocks, functions and others.
fn unsafes(tokens: TokenStream) -> usize {
    tokens
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Group(group) => unsafes(group.stream()),
            TokenTree::Ident(word) => usize::from(word == "unsafe"),
            TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
        })
        .sum()
}

#[test]
fn the_readme_tells_how_often_unsafe_stands_in_nvmm() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let count = |file: &PathBuf| unsafes(fs::read_to_string(file).unwrap().parse().unwrap());
    let counts = ["arch/src", "devices/src", "vmm/src"]
        .iter()
        .flat_map(|folder| files(&workspace.join(folder)))
        .map(|file| count(&file))
        .filter(|&count| count > 0);
    let counts: Vec<_> = counts.collect();
    let told =
        format!("`unsafe` stands {} times in nvmm, in {} files", counts.iter().sum::<usize>(), counts.len());
    let page = fs::read_to_string(workspace.join("resources/manual/architecture.md")).unwrap();
    assert!(page.contains(&told), "architecture.md is to say: {told}");
}
