//! nvmm as /init: the whole user space of a level.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use super::disk;
use super::facts::{Facts, Virt};
use super::image::{self, Manifest};
use super::level::{LEVEL_PARAMETER, Level, in_root};
use super::report::{Line, Said};

/// True in the process that is to call [`main`].
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == OsStr::new("/init"))
}

/// Does a level's work and powers the machine off.
pub fn main() -> ! {
    let outcome = panic::catch_unwind(|| {
        let mut init = Init::start()?;
        // What panics has printed its message to stderr, which is the console.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| init.run()))
            .unwrap_or_else(|_| Err(anyhow!("/init panicked")));
        init.finish(outcome)
    });
    if let Ok(Err(error)) = outcome {
        eprintln!("/init: {error:#}");
    }
    loop {
        // It comes back only when refused, and PID 1 must never end.
        let _ = rustix::system::reboot(RebootCommand::PowerOff);
        thread::sleep(Duration::from_secs(1));
    }
}

struct Init {
    level: u32,
    console: File,
}

impl Init {
    /// Mounts what the rest needs, and finds out which level this is.
    fn start() -> anyhow::Result<Self> {
        for (source, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
            match rustix::mount::mount(source, target, source, MountFlags::empty(), None) {
                // The kernel mounts /dev itself where CONFIG_DEVTMPFS_MOUNT reaches the initramfs.
                Ok(()) | Err(Errno::BUSY) => {}
                Err(error) => return Err(error).with_context(|| format!("mounting {target}")),
            }
        }
        let console = OpenOptions::new().write(true).open("/dev/console").context("opening /dev/console")?;
        let parameters = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
        let level = level_of(&parameters).context("the kernel command line has no nvmm.level=N")?;
        Ok(Self { level, console })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        self.say(Said::Up(Facts::gather()));
        let manifest = fs::read(in_root(image::MANIFEST)).context("reading the manifest")?;
        let manifest: Manifest = serde_json::from_slice(&manifest).context("reading the manifest")?;
        // Level 0 is an emulated host's, with no disk from nvmm.
        if self.level > 0 {
            load(&manifest.virtio)?;
            let (read, wrote) = disk::check(Path::new("/dev/vda")).context("disk check on /dev/vda")?;
            self.say(Said::Disk { read, wrote });
        }
        if self.level < manifest.levels {
            load(&manifest.kvm)?;
            self.start_next(&manifest)?;
        }
        Ok(())
    }

    fn start_next(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        if Virt::of_this_machine().is_none() {
            return Err(anyhow!("the CPU has neither VMX nor SVM"));
        }
        let image = image::pack(manifest, |name| {
            fs::read(in_root(name)).with_context(|| format!("reading /{name}"))
        })?;
        let next = Level {
            number: self.level + 1,
            manifest,
            nvmm: &in_root(image::INIT),
            kernel: &in_root(image::KERNEL),
            image: &image,
        };
        next.run(None, &mut |line| self.print(line))?;
        Ok(())
    }

    /// Tells how it went, and sees that the console has sent it all.
    fn finish(&mut self, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
        if let Err(error) = outcome {
            self.say(Said::Fail(format!("{error:#}")));
        }
        if self.level == 0 {
            // An emulated machine may be slow to pass on its serial port, and loses the rest at power-off.
            self.say(Said::Off);
            thread::sleep(Duration::from_secs(2));
        }
        rustix::termios::tcdrain(&self.console).context("draining /dev/console")
    }

    fn say(&mut self, said: Said) {
        let line = Line { level: self.level, said };
        self.print(&line);
    }

    fn print(&mut self, line: &Line) {
        // One write, so that the kernel's own messages stay outside the line. Without a console nobody can be told.
        let _ = self.console.write_all(format!("{line}\n").as_bytes());
    }
}

/// The level in the kernel's command line.
fn level_of(parameters: &str) -> Option<u32> {
    parameters.split_whitespace().find_map(|parameter| parameter.strip_prefix(LEVEL_PARAMETER)?.parse().ok())
}

/// Loads modules in the order given.
fn load(modules: &[String]) -> anyhow::Result<()> {
    for name in modules {
        let path = in_root(&Manifest::module(name));
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        match rustix::system::finit_module(&file, c"", 0) {
            // Built in after all, or loaded by the kernel itself.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(anyhow!(load_error(name, error))),
        }
    }
    Ok(())
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
#[path = "init_test.rs"]
mod tests;
