//! Starting the next level under nvmm, the same on the host as inside a guest.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use super::child::{Child, Output};
use super::disk;
use super::image::{Manifest, Memfd};
use super::report::{Line, Said};

/// Memory of the last level.
const LAST_MIB: u32 = 256;
/// What each level has beyond the next one's memory: enough for Linux to turn transparent huge pages on, which it does
/// from 512 MiB. Without them a nested guest takes a fault, through every level, for each 4 KiB.
const MORE_MIB: u32 = 448;

/// Kernel parameters that tell /init its level.
pub const LEVEL_PARAMETER: &str = "nvmm.level=";

/// A level to be started.
#[derive(Debug)]
pub struct Level<'a> {
    /// From 1; 0 is the host.
    pub number: u32,
    /// What `image` was made for.
    pub manifest: &'a Manifest,
    /// nvmm, as this level can run it.
    pub nvmm: &'a Path,
    /// Its kernel.
    pub kernel: &'a Path,
    /// Its initramfs.
    pub image: &'a Memfd,
}

impl Level<'_> {
    /// Runs it until it powers off, passing on what it says, and compares its disk with what it said of it.
    ///
    /// What goes wrong at that level or above is said as [`Said::Fail`]. False at the deadline.
    ///
    /// # Errors
    ///
    /// What goes wrong at this level.
    pub fn run(&self, deadline: Option<Instant>, say: &mut dyn FnMut(&Line)) -> anyhow::Result<bool> {
        let disk = disk::make(self.number).context("making the disk")?;
        say(&self.says(Said::Start));
        let mut child = Child::spawn(self.command(&disk)).context("starting nvmm")?;
        let mut claimed = None;
        let mut failed = false;
        let ended = relay(&mut child, self.number, deadline, &mut |line| {
            match line.said {
                Said::Disk { read, wrote } if line.level == self.number => claimed = Some((read, wrote)),
                Said::Fail(_) => failed = true,
                _ => {}
            }
            say(line);
        })?;
        if !ended {
            return Ok(false);
        }
        let status = child.wait().context("waiting for nvmm")?;
        // The first failure is the cause, and has been told.
        if !failed {
            let verdict = if !status.success() {
                Said::Fail(format!("nvmm ended with {status}"))
            } else {
                compare(claimed, disk::outside(&disk).context("reading the disk back")?)
            };
            say(&self.says(verdict));
        }
        Ok(true)
    }

    fn says(&self, said: Said) -> Line {
        Line { level: self.number, said }
    }

    fn command(&self, disk: &Memfd) -> Command {
        let mut disk_option = OsString::from("path=");
        disk_option.push(disk.path());
        let mut command = Command::new(self.nvmm);
        command.args(["--cpu", "host-passthrough", "--serial", "stdio", "--on-reboot", "exit"]);
        command.arg("--kernel").arg(self.kernel);
        command.arg("--initramfs").arg(self.image.path());
        command.args(["--cmdline", &kernel_parameters(self.number, self.manifest)]);
        command.args(["--memory", &format!("{}M", memory_mib(self.number, self.manifest.levels))]);
        command.args(["--smp", if self.number == 1 { "2" } else { "1" }]);
        command.arg("--disk").arg(disk_option);
        command
    }
}

/// Whether the disk is what the level said of it.
fn compare(claimed: Option<(u32, u32)>, outside: (u32, u32)) -> Said {
    match claimed {
        None => Said::Fail("it ended before its disk check".to_owned()),
        Some(claimed) if claimed == outside => Said::Done,
        Some((read, wrote)) => Said::Fail(format!(
            "its disk holds data with CRCs {:08x} and {:08x}, where it read {read:08x} and wrote {wrote:08x}",
            outside.0, outside.1
        )),
    }
}

/// Passes on the lines of `level`'s console until it ends or says that it is off; false at the deadline.
pub fn relay(
    child: &mut Child,
    level: u32,
    deadline: Option<Instant>,
    say: &mut dyn FnMut(&Line),
) -> anyhow::Result<bool> {
    loop {
        match child.line(deadline).context("reading the console")? {
            Output::Line(line) => {
                let line = Line::parse(&line, level);
                say(&line);
                if line.said == Said::Off {
                    return Ok(true);
                }
            }
            Output::End => return Ok(true),
            Output::Timeout => return Ok(false),
        }
    }
}

/// The kernel command line of `level`.
pub fn kernel_parameters(level: u32, manifest: &Manifest) -> String {
    let mut parameters = format!("console=ttyS0 quiet panic=-1 {LEVEL_PARAMETER}{level}");
    let first = if level == 1 { manifest.first_cmdline.as_str() } else { "" };
    for more in [first, &manifest.cmdline] {
        if !more.is_empty() {
            parameters.push(' ');
            parameters.push_str(more);
        }
    }
    parameters
}

/// Memory of `level`.
pub fn memory_mib(level: u32, levels: u32) -> u32 {
    LAST_MIB + MORE_MIB * levels.saturating_sub(level)
}

#[cfg(test)]
#[path = "level_test.rs"]
mod tests;
