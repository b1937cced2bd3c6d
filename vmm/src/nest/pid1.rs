//! The work of PID 1 before and after a level's own work.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use super::image::{self, MANIFEST, Manifest};
use super::level::LEVEL_PARAMETER;
use super::record::FailureKind;
use super::report::{Line, Said};
use super::{breakage, tsc};

/// PID 1's state.
#[derive(Debug)]
pub struct Pid1 {
    /// This level's number.
    pub level: u32,
    /// The manifest of the image.
    pub manifest: Manifest,
    console: Console,
}

/// A level's console, for each thread that writes to it.
#[derive(Debug, Clone)]
pub(super) struct Console {
    level: u32,
    file: Arc<File>,
}

impl Console {
    /// Reports something about this level.
    pub(super) fn say(&self, said: Said) {
        self.print(&Line { level: self.level, said });
    }

    fn print(&self, line: &Line) {
        // One write, so that the kernel's own messages don't split the line. Without a console, there is nowhere to report.
        let _ = (&*self.file).write_all(format!("{line}\n").as_bytes());
    }

    /// Waits until everything has been sent.
    pub(super) fn drain(&self) -> io::Result<()> {
        Ok(rustix::termios::tcdrain(&*self.file)?)
    }
}

/// Mounts the usual file systems, does `work`, reports its failure if it fails, and powers the machine off.
pub fn run(work: fn(&mut Pid1) -> anyhow::Result<()>) -> ! {
    let outcome = panic::catch_unwind(|| {
        let mut pid1 = Pid1::start()?;
        // A panic has printed its message to stderr, which is the console.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(&mut pid1)))
            .unwrap_or_else(|_| Err(anyhow!("/init panicked")));
        pid1.finish(outcome)
    });
    if let Ok(Err(error)) = outcome {
        eprintln!("/init: {error:#}");
    }
    loop {
        // It returns only if it is refused, and PID 1 must never end.
        let _ = rustix::system::reboot(RebootCommand::PowerOff);
        thread::sleep(Duration::from_secs(1));
    }
}

impl Pid1 {
    fn start() -> anyhow::Result<Self> {
        for (source, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
            match rustix::mount::mount(source, target, source, MountFlags::empty(), None) {
                // With CONFIG_DEVTMPFS_MOUNT, the kernel may have mounted /dev itself.
                Ok(()) | Err(Errno::BUSY) => {}
                Err(error) => return Err(error).with_context(|| format!("mounting {target}")),
            }
        }
        let file = OpenOptions::new().write(true).open("/dev/console").context("opening /dev/console")?;
        let level = parameter(LEVEL_PARAMETER)?.parse().context("in the kernel command line's nvmm.level")?;
        let console = Console { level, file: Arc::new(file) };
        let manifest = fs::read(image::in_root(MANIFEST)).context("reading the manifest")?;
        let manifest = serde_json::from_slice(&manifest).context("reading the manifest")?;
        Ok(Self { level, manifest, console })
    }

    /// Reports something about this level.
    pub fn say(&mut self, said: Said) {
        self.console.say(said);
    }

    /// Passes on a line from a level above.
    pub fn print(&mut self, line: &Line) {
        self.console.print(line);
    }

    /// The console, for other threads.
    pub(super) fn console(&self) -> Console {
        self.console.clone()
    }

    /// Reports the result, and waits until the console has sent everything.
    fn finish(&mut self, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
        if let Err(error) = outcome {
            let (kind, why) = explain(&error);
            self.say(Said::Fail(kind, why));
        }
        if self.level == 0 {
            // An emulated machine may pass on its serial port slowly, and loses the rest when it powers off.
            self.say(Said::Off);
            thread::sleep(Duration::from_secs(2));
        }
        self.drain()
    }

    /// Waits until the console has sent everything.
    pub fn drain(&self) -> anyhow::Result<()> {
        self.console.drain().context("draining /dev/console")
    }
}

/// Splits an error into the kind of failure, if it contains one, and the rest of its message.
fn explain(error: &anyhow::Error) -> (FailureKind, String) {
    let kind = error.downcast_ref::<FailureKind>().copied();
    let said = kind.map(|kind| kind.to_string());
    let causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause) != said.as_ref());
    (kind.unwrap_or(FailureKind::Vmm), causes.collect::<Vec<_>>().join(": "))
}

/// The value of a kernel parameter; `key` ends in `=`.
///
/// # Errors
///
/// /proc/cmdline can't be read, or lacks the parameter.
pub fn parameter(key: &str) -> anyhow::Result<String> {
    let line = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    let value = find(&line, key).with_context(|| format!("the kernel command line has no {key}"))?;
    Ok(value.to_owned())
}

fn find<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|parameter| parameter.strip_prefix(key))
}

/// Loads KVM's modules, once the kernel has measured the TSC's rate, which KVM uses for its guests.
///
/// # Errors
///
/// A module can't be loaded. The error names it, and what its error code says about the CPU.
pub fn load_kvm(level: u32, manifest: &Manifest) -> anyhow::Result<()> {
    if breakage::misjudges_tsc(level, manifest) {
        load(&manifest.kvm)?;
        tsc::settle();
        return Ok(());
    }
    tsc::settle();
    load(&manifest.kvm)
}

/// Loads modules of the image in this order.
///
/// # Errors
///
/// A module can't be loaded. The error names it, and what its error code says about the CPU.
pub fn load(modules: &[String]) -> anyhow::Result<()> {
    for name in modules {
        let path = image::in_root(&Manifest::module(name));
        let file = open(&path)?;
        match rustix::system::finit_module(&file, c"", 0) {
            // It is built in after all, or the kernel has loaded it itself.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(anyhow!(load_error(name, error))),
        }
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("opening {}", path.display()))
}

fn load_error(module: &str, error: Errno) -> String {
    let reason = match (module, error) {
        ("kvm_intel", Errno::OPNOTSUPP | Errno::NODEV | Errno::IO) => {
            ": no VMX in the CPU, or it is locked off"
        }
        ("kvm_amd", Errno::OPNOTSUPP | Errno::NODEV | Errno::IO) => {
            ": no SVM in the CPU, or it is locked off"
        }
        _ => "",
    };
    format!("loading {module}: {}{reason}", io::Error::from(error))
}

#[cfg(test)]
#[path = "pid1_test.rs"]
mod tests;
