//! `nvmm disk`: shows disk images, and makes, copies and enlarges them.
//!
//! The options are qemu-img's, and mean the same, with two differences: an existing file is not overwritten, and a format is not guessed if
//! the guess could be wrong.

mod amount;
mod args;
mod bar;
mod convert;
mod copy;
mod create;
mod info;
mod resize;
mod target;

use std::path::{Path, PathBuf};

use devices::disk::info::look;
use devices::printable::ToPrintable;

use crate::{
    cpu::text::{Paint, print},
    exit::COULD_NOT,
};
pub use args::DiskArgs;
use args::{DiskCommand, Made};
use bar::Shown;
use convert::{Conversion, Converted};
use create::{Base, Created, Creation, ImageKind};
use info::Report;
use resize::resize;

/// Options that contradict each other.
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
        /// The option that names the format.
        option: &'static str,
    },
    /// `-f raw` with an option that is only for qcow2.
    #[error("{option} is for qcow2 images, and {} would be raw: add -f qcow2", path.printable())]
    Raw {
        /// The option that is not for raw images.
        option: &'static str,
        /// The image.
        path: PathBuf,
    },
}

/// Carries out the command. The value is nvmm's exit status.
///
/// # Errors
///
/// An image can't be used, or can't be made.
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
                Made::Qcow2 => ImageKind::Qcow2 { base, cluster_size: *cluster_size },
                Made::Raw if base.is_some() => {
                    return Err(UsageError::Raw { option: "-b", path: path.clone() }.into());
                }
                Made::Raw if cluster_size.is_some() => {
                    return Err(UsageError::Raw { option: "--cluster-size", path: path.clone() }.into());
                }
                Made::Raw => ImageKind::Raw,
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

/// The format to make: the given one, or raw, unless the file's name suggests that this is a mistake.
fn made(path: &Path, given: Option<Made>, option: &'static str) -> Result<Made, UsageError> {
    let is_qcow2 = path.extension().is_some_and(|extension| extension == "qcow2");
    match given {
        None if is_qcow2 => Err(UsageError::Name { path: path.to_owned(), option }),
        given => Ok(given.unwrap_or(Made::Raw)),
    }
}
