//! Completions of the command line for shells.

use clap::Command;
use clap_complete::{Shell, generate};

/// A shell's completions.
#[derive(Debug)]
pub(crate) struct Completions {
    /// The folder below /usr or /usr/local in which the shell looks for them.
    pub(crate) folder: &'static str,
    /// The name of their file, by which the shell finds them.
    pub(crate) file: &'static str,
    /// Their text.
    pub(crate) text: Vec<u8>,
}

/// The completions of bash, zsh and fish for `nvmm`.
pub(crate) fn all(nvmm: &Command) -> Vec<Completions> {
    let completions = |(shell, folder, file)| {
        let mut text = Vec::new();
        generate(shell, &mut nvmm.clone(), "nvmm", &mut text);
        Completions { folder, file, text }
    };
    [
        (Shell::Bash, "share/bash-completion/completions", "nvmm"),
        (Shell::Zsh, "share/zsh/site-functions", "_nvmm"),
        (Shell::Fish, "share/fish/vendor_completions.d", "nvmm.fish"),
    ]
    .map(completions)
    .into()
}

#[cfg(test)]
#[path = "completions_test.rs"]
mod tests;
