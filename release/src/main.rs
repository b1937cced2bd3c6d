//! Makes the files of a release: man pages and completions, from clap's tree of commands.

mod blocks;
mod changelog;
mod completions;
mod man;
mod more;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use vmm::cli::Cli;

/// Writes the man pages and the completions of nvmm
#[derive(Debug, Parser)]
struct Args {
    /// The folder for them, which is made
    to: PathBuf,
}

fn main() -> ExitCode {
    match make(&Args::parse().to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(to: &Path) -> Result<()> {
    let nvmm = Cli::command();
    for page in man::pages(nvmm.clone(), changelog::day()?)? {
        write(&to.join("man").join(page.name + ".1"), page.text.as_bytes())?;
    }
    for completions in completions::all(&nvmm) {
        write(&to.join("completions").join(completions.file), &completions.text)?;
    }
    Ok(())
}

/// Writes a file, in a folder that is made if it is not there.
fn write(file: &Path, text: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
