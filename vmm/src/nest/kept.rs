//! Saved levels, of which copies run a program: `nvmm nest --from`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use devices::printable::ToPrintable;

use super::child::Child;
use super::clock::Clock;
use super::console::relay;
use super::cpio;
use super::exec::news::News;
use super::exec::program::Program;
use super::image::{Memfd, Pace};
use super::keep::{CHECKED, DISK, FORMAT, KERNEL, NEST, Nest, PARCEL, SNAPSHOT};
use super::record::{FailureKind, Record};
use super::report::{Line, Said};
use super::watch::Watch;
use crate::{config::words, small_file};

/// The memory of the last level, in MiB, that is not available to the program's files.
const OWN_MIB: u32 = 192;

/// Saved levels in a directory.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    nest: Nest,
}

impl Kept {
    /// Reads the levels that were saved in a directory.
    ///
    /// # Errors
    ///
    /// The directory has no levels, or those of another version of nvmm.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = || format!("--from {}", path.printable());
        let text = small_file::read_regular(&path.join(NEST)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                anyhow::anyhow!("nothing was kept there: it has no {NEST}; `nvmm nest --keep` makes one")
            }
            _ => anyhow::Error::from(error).context(NEST),
        });
        let parse = |text: String| serde_json::from_str(&text).context(NEST);
        let nest: Nest = text.and_then(parse).with_context(shown)?;
        if nest.format != FORMAT {
            bail!(
                "{}: it has format {}, of nvmm {}, and this nvmm reads format {FORMAT}: use that one, or keep the levels anew",
                shown(),
                nest.format,
                nest.nvmm
            );
        }
        Ok(Self { path: path.to_owned(), nest })
    }

    /// The run that made the levels.
    pub(super) fn record(&self) -> &Record {
        &self.nest.run
    }

    /// Checks that the program's files fit into the last level.
    ///
    /// # Errors
    ///
    /// The files don't fit.
    pub(super) fn fit(&self, program: &Program) -> anyhow::Result<()> {
        // They are in a tmpfs, which is limited to half of the memory.
        let room = self.nest.last_mib.saturating_sub(OWN_MIB) / 2;
        if program.files_mib > room {
            bail!(
                "--exec and --add have {} MiB, and the last level that was kept in {} has room for {room}: give fewer files, or keep \
                 levels with a larger --memory",
                program.files_mib,
                self.path.printable()
            );
        }
        Ok(())
    }

    /// Restores a copy of the levels with this nvmm, and has the last one run the program of `parcel`. The copy is ended after the program.
    ///
    /// # Errors
    ///
    /// The copy can't be started.
    pub(super) fn run(
        &self,
        nvmm: &Path,
        parcel: &Memfd,
        pace: &Pace,
        say: &mut dyn FnMut(&Line),
    ) -> anyhow::Result<()> {
        let last = self.nest.run.wanted;
        // Nothing will be booted from it, but nvmm has to be able to.
        let initramfs = Memfd::new(c"initramfs").context("making an initramfs")?;
        cpio::Writer::new(initramfs.writer()).finish().and_then(|mut out| io::Write::flush(&mut out))?;
        let mut command = Command::new(nvmm);
        let at = |name| self.path.join(name);
        let word = |option: &str, value: &Path| {
            [option.as_ref(), value.as_os_str()].into_iter().collect::<OsString>()
        };
        command.arg("--restore").arg(at(SNAPSHOT)).args(["--restore-memory", "map"]);
        command.arg(word("--kernel=", &at(KERNEL))).arg(word("--initramfs=", &initramfs.path()));
        command.arg("--disk").arg(place(CHECKED, &at(DISK), ",overlay=temp"));
        // Its name differs from that of the empty disk, so that its time of modification isn't compared with that one's.
        let name = parcel.path();
        let name = Path::new("/proc/thread-self/fd").join(name.file_name().unwrap_or_default());
        command.arg("--disk").arg(place(PARCEL, &name, ""));
        let mut child = Child::spawn(command).context("starting nvmm")?;
        let mut clock = Clock::wall();
        let mut watch = Watch::of_kept(1, last, pace, clock.now());
        let mut ended = false;
        let closed = relay(&mut child, 1, last, &mut |line| {
            if let Some(line) = line {
                watch.see(line, clock.now());
                ended |= line.level == last && matches!(line.said, Said::Program(News::Ended(_)));
                say(line);
            }
            !ended && !watch.is_over(clock.now())
        })?;
        let failure = match (ended, closed) {
            (true, _) => return Ok(()),
            (false, false) => Said::Fail(FailureKind::TimedOut, watch.verdict().1),
            (false, true) => {
                let status = child.wait().context("waiting for nvmm")?;
                Said::Fail(FailureKind::Vmm, format!("nvmm ended with {status} before the program did"))
            }
        };
        say(&Line { level: 1, said: failure });
        Ok(())
    }
}

/// A disk of a restored machine, with commas in its path doubled.
fn place(id: &str, path: &Path, more: &str) -> OsString {
    let mut option = OsString::from(format!("id={id},format=raw{more},path="));
    option.push(words::escaped(&words::whole(path.as_os_str())));
    option
}

#[cfg(test)]
#[path = "kept_test.rs"]
mod tests;
