//! Makes the files of a release from a built nvmm: `cargo lab release`.
//!
//! ```text
//! clap's tree of commands --> man pages, completions --+
//! the built nvmm, resources/, README.md ... -----------+--> the list of installed files --> a .deb and a .tar.gz
//! licences in the sources of other people's crates ----+
//! ```

mod archive;
mod blocks;
mod changelog;
mod completions;
mod deb;
mod installed;
mod licences;
mod man;
mod more;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser};
use vmm::cli::Cli;

use self::{
    deb::Packing,
    installed::{Installed, Made},
};

/// Makes the files of a release from a built nvmm: a Debian package, an archive, man pages and completions
#[derive(Debug, Parser)]
struct Args {
    /// nvmm, as the release has it
    nvmm: PathBuf,
    /// The folder for the files; it is made if it is not there
    to: PathBuf,
}

fn main() -> ExitCode {
    match make(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(Args { nvmm, to }: &Args) -> Result<()> {
    let day = changelog::day()?;
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let files = files(nvmm, day)?;
    let package = deb::build(&files, repository(), day, to, Packing::Small)?;
    let archive = archive::build(&files, repository(), day, to)?;
    // By themselves too, for those who want no more than one of them.
    let alone = ["bin/", "share/man/", "share/bash-completion/", "share/zsh/", "share/fish/"];
    let is_alone = |file: &Installed| alone.iter().any(|start| file.path.starts_with(start));
    installed::write(&files.into_iter().filter(is_alone).collect::<Vec<_>>(), &to.join("files"))?;
    let mut names = Vec::new();
    for made in [&package, &archive] {
        names.push(made.file_name().context("a file without a name")?);
    }
    let sums = run(Command::new("sha256sum").args(&names).current_dir(to))?;
    installed::write(&[Installed::data("SHA256SUMS", sums.as_str())], to)?;
    print!("{sums}");
    Ok(())
}

/// The files that an installation of `nvmm` has, in a release of the `day`.
fn files(nvmm: &Path, day: &str) -> Result<Vec<Installed>> {
    let command = Cli::command();
    let made = Made {
        nvmm: fs::read(nvmm).with_context(|| format!("reading {}", nvmm.display()))?,
        completions: completions::all(&command),
        pages: man::pages(command, day)?,
        licences: licences::all(repository())?,
    };
    installed::files(repository(), made)
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs a command and returns what it prints.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading what {program} prints"))
}
