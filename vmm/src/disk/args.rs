//! The options of `nvmm disk`.

use std::{ffi::OsString, path::PathBuf};

use clap::ValueEnum;
use devices::disk::{format::Format, image::OpenOptions, raw::DiskOptions};

use super::{amount::Amount, resize::Growth};
use crate::one_of::one_of;

/// The exit statuses in `nvmm disk info --help`.
const INFO_STATUS: &str = "\
Exit status:
  0  nothing keeps the image from being used
  1  something does, and is said; or there is no such image
  2  the command line is wrong";

/// The exit statuses in `nvmm disk convert --help`.
const CONVERT_STATUS: &str = "\
Exit status:
  0    DST is whole and on the medium
  1    it could not be made, and is not there
  2    the command line is wrong
  130  SIGINT came, and DST is not there; 143: SIGTERM; 129: SIGHUP;
       131: SIGQUIT";

/// Show, convert, create and resize disk images
#[derive(Debug, clap::Args)]
pub struct DiskArgs {
    #[command(subcommand)]
    pub(super) command: DiskCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum DiskCommand {
    /// Say what an image is, what its base is, what is wrong with it
    ///
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
    /// Copy an image, in another format, whole by itself
    ///
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
        /// Replace a file that is there
        ///
        /// Replace a file that is there, once the copy is whole
        #[arg(long)]
        force: bool,
        /// Tell of every tenth of the work
        ///
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
        /// Bytes, or a number with K, M, G, T [default: its base's]
        #[arg(value_name = "SIZE", required_unless_present = "backing")]
        size: Option<Amount>,
        /// Its format [default: raw]
        #[arg(short, long, value_name = "raw|qcow2", hide_possible_values = true)]
        format: Option<Made>,
        /// Its base, for qcow2
        ///
        /// Its base, for qcow2: what is not written to it reads as that; a relative name begins at the image's folder
        #[arg(short, long, value_name = "BASE", requires = "backing_format")]
        backing: Option<OsString>,
        /// The base's format
        #[arg(
            short = 'F',
            long,
            value_name = "raw|qcow2|vmdk",
            requires = "backing",
            value_parser = one_of::<Format, _>(Format::ALL.map(Format::name)),
            hide_possible_values = true
        )]
        backing_format: Option<Format>,
        /// Other folder for the base's files
        ///
        /// The folder where files that the base names may be, besides its own
        #[arg(long, value_name = "DIR", requires = "backing")]
        backing_root: Option<PathBuf>,
        /// Cluster size [default: 64K]
        ///
        /// Size of a cluster, for qcow2: a power of two from 512 to 2M [default: 64K]
        #[arg(long, value_name = "N")]
        cluster_size: Option<Amount>,
    },
    /// Make an image larger; what is added reads as zeros
    Resize {
        /// The image; nobody may be using it
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Bytes, or a number with K, M, G, T; +SIZE is so much more
        #[arg(value_name = "SIZE")]
        size: Growth,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// The options for opening an image.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Its format [default: by its first bytes]
    ///
    /// Its format [default: by its first bytes, raw if they are nothing else's]
    #[arg(
        short,
        long,
        value_name = "raw|qcow2|vmdk",
        value_parser = one_of::<Format, _>(Format::ALL.map(Format::name)),
        hide_possible_values = true
    )]
    pub(super) format: Option<Format>,
    /// Other folder for the files that it names
    ///
    /// The folder where files that it names may be, besides its own
    #[arg(long, value_name = "DIR")]
    pub(super) backing_root: Option<PathBuf>,
}

/// A format in which images can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Made {
    Raw,
    Qcow2,
}

impl SourceArgs {
    /// The options for opening an image for reading.
    pub(super) fn options(&self) -> OpenOptions {
        let disk = DiskOptions { read_only: true, direct: false };
        OpenOptions { disk, format: self.format, backing_root: self.backing_root.clone(), overlay: None }
    }
}
