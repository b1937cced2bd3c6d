//! `nvmm nest --exec`: runs a program of the user's at the last level, whose status decides the result.
//!
//! ```text
//! host      checks that the program can run, and packs it and its files into an archive
//! levels    pass the archive on as one file; the last level's kernel unpacks it beside /init
//! last one  runs the program (launch.rs), and says what it prints (news.rs)
//! host      shows that, and judges by its status (outcome.rs)
//! ```

mod add;
pub mod kernel_log;
pub mod launch;
pub mod news;
pub mod outcome;
pub(super) mod parcel;
pub mod program;
mod runnable;
pub(super) mod seed;
mod tree;
pub(super) mod unpack;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::{OsStringValueParser, TypedValueParser};
use devices::printable::ToPrintable;

use super::image::{Manifest, Memfd};
use super::level;
use add::Add;
use program::Program;
use tree::Tree;

/// The group of its options in the help.
const PROGRAM: &str = "A program of your own";

/// The options of the user's program.
#[derive(Debug, clap::Args)]
pub(super) struct ExecArgs {
    /// Run it at the last level; its status counts
    ///
    /// Run this program at the last level, and fail if it fails; its output is shown on stdout. It is static, or a script or a dynamic
    /// program whose interpreter, loader and libraries are given by --add
    #[arg(long, help_heading = PROGRAM, value_name = "FILE")]
    exec: Option<PathBuf>,

    /// A file or folder for it; repeatable
    ///
    /// A file or folder for the program; a folder with all that it holds. GUEST is where the level has it, by default as the host;
    /// repeatable
    #[arg(long, help_heading = PROGRAM, value_name = "HOST[:GUEST]", requires = "exec", value_parser = OsStringValueParser::new().try_map(|text| Add::parse(&text)))]
    add: Vec<Add>,

    /// Its arguments: all words that follow
    #[arg(long, help_heading = PROGRAM, value_name = "ARG", requires = "exec", num_args = 0.., allow_hyphen_values = true)]
    exec_args: Vec<OsString>,
}

/// A program that can be run, if there is one, with its files.
#[derive(Debug, Default)]
pub(super) struct Plan {
    program: Option<Program>,
    tree: Tree,
}

impl ExecArgs {
    /// The host's files, each with the option that names it.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let program = self.exec.iter().map(|path| ("--exec", path.as_path()));
        program.chain(self.add.iter().map(|add| ("--add", add.host.as_path())))
    }

    /// Examines the files.
    ///
    /// # Errors
    ///
    /// The program could not be started at the last level, or a file can't be read.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let mut plan = Plan::default();
        for add in &self.add {
            plan.tree
                .add(&add.host, &add.guest())
                .with_context(|| format!("--add {}", add.host.printable()))?;
        }
        if let Some(host) = &self.exec {
            let program = self.program(host, &mut plan.tree);
            plan.program = Some(program.with_context(|| format!("--exec {}", host.printable()))?);
        }
        Ok(plan)
    }

    /// The program, which is added to `tree`, too.
    fn program(&self, host: &Path, tree: &mut Tree) -> anyhow::Result<Program> {
        let metadata = host.metadata()?;
        let Some(file) = host.file_name().filter(|_| metadata.is_file()) else {
            bail!(
                "it is {}, not a program",
                if metadata.is_dir() { "a directory" } else { "no regular file" }
            )
        };
        let mut program =
            Program { file: file.to_owned(), arguments: self.exec_args.clone(), ..Program::default() };
        tree.add(host, &program.path())?;
        runnable::check(tree, &program.path())?;
        program.files_mib = u32::try_from(tree.len() >> 20).unwrap_or(u32::MAX).saturating_add(1);
        Ok(program)
    }
}

impl Plan {
    /// The program's entry in the manifest.
    pub(super) fn program(&self) -> Option<Program> {
        self.program.clone()
    }

    /// Checks that the program's files fit into level 1, which has this much memory (`given`: by the user), on a machine with `total`
    /// memory. All are in bytes. Memory that the user gave is for the program's level.
    ///
    /// # Errors
    ///
    /// The files don't fit.
    pub(super) fn fit(
        &self,
        manifest: &mut Manifest,
        first: u64,
        given: bool,
        total: u64,
    ) -> anyhow::Result<()> {
        let Some(program) = &mut manifest.program else { return Ok(()) };
        let mib = |bytes: u64| u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let (first, total) = (mib(first), mib(total));
        if !given {
            if first > total {
                bail!(
                    "level 1 needs {first} MiB for the {} MiB of --exec and --add, which are in each level's memory several \
                     times, and this machine has {total}; give fewer files, or a smaller --memory",
                    program.files_mib
                );
            }
            return Ok(());
        }
        program.first_mib = first;
        let least = level::least_mib(program, manifest.levels);
        if first < least {
            bail!(
                "--memory: level 1 has {first} MiB, and needs at least {least} for the {} MiB of --exec and --add, which are in each \
                 level's memory several times; give more, or leave --memory out",
                program.files_mib
            );
        }
        Ok(())
    }

    /// Makes a disk with the program and its files, for levels that wait for it.
    ///
    /// # Errors
    ///
    /// There is no program, or a file can't be read.
    pub(super) fn parcel(&self) -> anyhow::Result<Memfd> {
        let program = self.program.clone().context("no program")?;
        parcel::pack(program, |disk| self.tree.write(std::io::BufWriter::new(disk)))
    }

    /// Makes the archive of its files.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub(super) fn pack(&self) -> anyhow::Result<Memfd> {
        let archive = Memfd::new(c"files").context("making an archive")?;
        self.tree.write(archive.writer()).context("making an archive of the program's files")?;
        Ok(archive)
    }
}

/// The size of this machine's memory in bytes.
pub(super) fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

#[cfg(test)]
#[path = "exec_test.rs"]
mod tests;
