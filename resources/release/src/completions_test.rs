use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Program,
};

use clap::CommandFactory;
use vmm::cli::Cli;

use super::*;

const BASH: &str = "nvmm";
const ZSH: &str = "_nvmm";
const FISH: &str = "nvmm.fish";

/// Writes a shell's completions into a folder.
fn file(name: &str, folder: &Path) -> PathBuf {
    let completions = all(&Cli::command()).into_iter().find(|each| each.file == name).unwrap();
    let file = folder.join(name);
    fs::write(&file, completions.text).unwrap();
    file
}

/// Runs a shell, and returns what it prints; nothing if there is no such shell.
fn run(shell: &str, options: &[&str], file: &Path) -> Option<String> {
    match Program::new(shell).args(options).arg(file).output() {
        Err(error) => {
            println!("skipped: {shell}: {error}");
            None
        }
        Ok(output) => {
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && said.is_empty(), "{shell}: {} {said}", output.status);
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

#[test]
fn each_shell_can_read_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, name) in [("bash", BASH), ("zsh", ZSH), ("fish", FISH)] {
        run(shell, &["-n"], &file(name, folder.path()));
    }
}

/// The words that bash completes the last of `words` to.
fn completed(words: &[&str]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        file=$1; shift
        . "$file"
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _nvmm nvmm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let file = file(BASH, folder.path());
    let output = Program::new("bash").args(["-c", script, "bash"]).arg(file).args(words).output();
    match output {
        Err(error) => {
            println!("skipped: bash: {error}");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            Some(text.lines().map(str::to_owned).collect())
        }
    }
}

#[test]
fn bash_completes_options_commands_and_values() {
    let expect = |words: &[&str], expected: &[&str]| {
        if let Some(completed) = completed(words) {
            assert_eq!(completed, expected, "{words:?}");
        }
    };
    expect(&["nvmm", "--mem"], &["--memory"]);
    expect(&["nvmm", "che"], &["check"]);
    expect(&["nvmm", "disk", "conv"], &["convert"]);
    expect(&["nvmm", "nest", "--emulated", "s"], &["svm"]);
    expect(&["nvmm", "cpu", "show", "--neste"], &["--nested"]);
}

#[test]
fn fish_completes_options_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(FISH, folder.path());
    for (words, expected) in [("nvmm che", "check"), ("nvmm --mem", "--memory")] {
        let script = folder.path().join("script");
        fs::write(&script, format!("source {}; complete -C '{words}'\n", file.display())).unwrap();
        let Some(printed) = run("fish", &["--no-config"], &script) else { return };
        assert!(printed.starts_with(expected), "{words}: {printed}");
    }
}
