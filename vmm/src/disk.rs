//! `nvmm disk`: what a disk image is, and images made, copied and grown.
//!
//! The words are qemu-img's, and mean the same. What differs: a file that is there is not written over, and a format is
//! not guessed where the guess could be wrong.

mod amount;
mod bar;
mod convert;
mod copy;
mod create;
mod info;
mod resize;
mod target;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use devices::disk::{format::Format, image::OpenOptions, info::look, raw::DiskOptions};
use devices::printable::ToPrintable;

use crate::{
    cpu::text::{Paint, print},
    exit::COULD_NOT,
    one_of::one_of,
};
use amount::Amount;
use bar::Shown;
use convert::{Conversion, Converted};
use create::{Base, Created, Creation, Kind};
use info::Report;
use resize::{Growth, resize};

/// What `nvmm disk info --help` says of exit statuses.
const INFO_STATUS: &str = "\
Exit status:
  0  nothing keeps the image from being used
  1  something does, and is said; or there is no such image
  2  the command line is wrong";

/// What `nvmm disk convert --help` says of exit statuses.
const CONVERT_STATUS: &str = "\
Exit status:
  0    DST is whole and on the medium
  1    it could not be made, and is not there
  2    the command line is wrong
  130  SIGINT came, and DST is not there; 143: SIGTERM; 129: SIGHUP;
       131: SIGQUIT";

/// Words that contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// `disk.qcow2` without `-O qcow2`.
    #[error(
        "{} is named as a qcow2 image, but would be raw: add {option} qcow2, or {option} raw if that is meant",
        path.printable()
    )]
    Name {
        /// The image.
        path: PathBuf,
        /// What names the format.
        option: &'static str,
    },
    /// `-f raw` with what only qcow2 has.
    #[error("{option} is for qcow2 images, and {} would be raw: add -f qcow2", path.printable())]
    Raw {
        /// What a raw image doesn't have.
        option: &'static str,
        /// The image.
        path: PathBuf,
    },
}

/// Show, convert, create and resize disk images
#[derive(Debug, clap::Args)]
pub struct DiskArgs {
    #[command(subcommand)]
    command: DiskCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DiskCommand {
    /// Say what an image is, what it is a difference to, and what is wrong with it
    #[command(after_help = INFO_STATUS)]
    Info {
        /// The image; others may be using it
        #[arg(value_name = "PATH")]
        path: PathBuf,
        #[command(flatten)]
        source: SourceArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a copy of an image, whole by itself, in another format; what is zeros stays unallocated
    #[command(after_help = CONVERT_STATUS)]
    Convert {
        /// The image; it is only read
        #[arg(value_name = "SRC")]
        source_path: PathBuf,
        /// The copy
        #[arg(value_name = "DST")]
        path: PathBuf,
        #[command(flatten)]
        source: SourceArgs,
        /// The copy's format [default: raw]
        #[arg(short = 'O', long = "target-format", value_name = "raw|qcow2", hide_possible_values = true)]
        output: Option<Made>,
        /// Replace a file that is there, once the copy is whole
        #[arg(long)]
        force: bool,
        /// Tell of every tenth of the work; on a terminal it is shown anyway, and SIGUSR1 always asks
        #[arg(long, short)]
        progress: bool,
        /// Show no progress
        #[arg(long, short, conflicts_with = "progress")]
        quiet: bool,
    },
    /// Make an image that holds zeros, or what another one does
    Create {
        /// The image; it must not be there
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Its size: bytes, or a number with K, M, G, T [default: its base's]
        #[arg(value_name = "SIZE", required_unless_present = "backing")]
        size: Option<Amount>,
        /// Its format [default: raw]
        #[arg(short, long, value_name = "raw|qcow2", hide_possible_values = true)]
        format: Option<Made>,
        /// Its base, for qcow2: what is not written to it reads as that; a relative name begins at the image's folder
        #[arg(short, long, value_name = "BASE", requires = "backing_format")]
        backing: Option<OsString>,
        /// The base's format
        #[arg(
            short = 'F',
            long,
            value_name = "raw|qcow2|vmdk",
            requires = "backing",
            value_parser = one_of::<Format, _>(Format::NAMES),
            hide_possible_values = true
        )]
        backing_format: Option<Format>,
        /// Where the files that the base names may be, besides its own folder
        #[arg(long, value_name = "DIR", requires = "backing")]
        backing_root: Option<PathBuf>,
        /// Size of a cluster, for qcow2: a power of two from 512 to 2M [default: 64K]
        #[arg(long, value_name = "N")]
        cluster_size: Option<Amount>,
    },
    /// Make an image larger; what is added reads as zeros
    Resize {
        /// The image; nobody may be using it
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Its new size: bytes, or a number with K, M, G, T; +SIZE is so much more
        #[arg(value_name = "SIZE")]
        size: Growth,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// How to open an image.
#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// Its format [default: by its first bytes, raw if they are nothing else's]
    #[arg(
        short,
        long,
        value_name = "raw|qcow2|vmdk",
        value_parser = one_of::<Format, _>(Format::NAMES),
        hide_possible_values = true
    )]
    format: Option<Format>,
    /// Where the files that it names may be, besides its own folder
    #[arg(long, value_name = "DIR")]
    backing_root: Option<PathBuf>,
}

/// A format that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Made {
    Raw,
    Qcow2,
}

/// Does what was asked; the value is nvmm's exit status.
///
/// # Errors
///
/// An image that can't be used, or can't be made.
pub fn run(args: &DiskArgs) -> anyhow::Result<u8> {
    match &args.command {
        DiskCommand::Info { path, source, json } => {
            let report = Report::new(look(path, &source.options())?);
            let text = if *json {
                serde_json::to_string_pretty(&report)? + "\n"
            } else {
                report.text(Paint::stdout())
            };
            print(&text)?;
            Ok(if report.is_good() { 0 } else { COULD_NOT })
        }
        DiskCommand::Convert { source_path, path, source, output, force, progress, quiet } => {
            let conversion = Conversion {
                from: source_path,
                options: source.options(),
                to: path,
                format: made(path, *output, "-O")?,
                replaces: *force,
                shown: Shown::on_stderr(*quiet, *progress),
            };
            match conversion.run()? {
                Converted::Whole => Ok(0),
                Converted::Interrupted(signal) => {
                    eprintln!("nvmm: interrupted; {} was not made", path.printable());
                    Ok(u8::try_from(signal).map_or(COULD_NOT, |signal| 128 + signal))
                }
            }
        }
        DiskCommand::Create { path, size, format, backing, backing_format, backing_root, cluster_size } => {
            let base = backing.as_deref().zip(*backing_format).map(|(name, format)| Base {
                name,
                format,
                root: backing_root.clone(),
            });
            let kind = match made(path, *format, "-f")? {
                Made::Qcow2 => Kind::Qcow2 { base, cluster_size: *cluster_size },
                Made::Raw if base.is_some() => {
                    return Err(UsageError::Raw { option: "-b", path: path.clone() }.into());
                }
                Made::Raw if cluster_size.is_some() => {
                    return Err(UsageError::Raw { option: "--cluster-size", path: path.clone() }.into());
                }
                Made::Raw => Kind::Raw,
            };
            let Created { needs } = Creation { path, size: *size, kind }.run()?;
            if let Some(folder) = needs {
                let (path, folder) = (path.printable(), folder.printable());
                eprintln!(
                    "nvmm: {path} is made; its base is elsewhere, so it opens with backing-root={folder}"
                );
            }
            Ok(0)
        }
        DiskCommand::Resize { path, size, source } => {
            resize(path, source.format, source.backing_root.as_deref(), *size)?;
            Ok(0)
        }
    }
}

/// The format to make: raw, unless another was given, or the file's name says that this is a mistake.
fn made(path: &Path, given: Option<Made>, option: &'static str) -> Result<Made, UsageError> {
    let is_qcow2 = path.extension().is_some_and(|extension| extension == "qcow2");
    match given {
        None if is_qcow2 => Err(UsageError::Name { path: path.to_owned(), option }),
        given => Ok(given.unwrap_or(Made::Raw)),
    }
}

impl SourceArgs {
    fn options(&self) -> OpenOptions {
        let disk = DiskOptions { read_only: true, direct: false };
        OpenOptions { disk, format: self.format, backing_root: self.backing_root.clone(), overlay: None }
    }
}
