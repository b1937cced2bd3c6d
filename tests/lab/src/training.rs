//! The training lab of `resources/lab` on an emulated SVM host: level 0 is the lab's own Debian, and runs `level0.sh` there.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::build;
use crate::report::Outcome;

/// The Debian packages that make the lab's images.
pub(crate) const PACKAGES: &[&str] = &["e2fsprogs", "mmdebstrap", "openssh-client"];

/// Level 0's part of the test, and the lab's scripts that it uses.
const SCRIPT: &str = include_str!("../training/level0.sh");
const SCRIPTS: [&str; 3] = ["bridge", "start", "ssh_config"];
/// The files of the images, besides the disk.
const FILES: [&str; 3] = ["key", "vmlinuz", "initrd.img"];

/// The CPU of `nvmm nest`, without AVX and XSAVE, of which Linux would warn.
const QEMU_CPU: &str = "EPYC,+vgif,-cx16,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsave,-avx,-avx2,-xsaveopt,-xsavec,-f16c,-fma";
const CMDLINE: &str =
    "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off nokaslr systemd.hostname=l0";

/// Level 0's clock counts its instructions, and skips the time in which it waits: the guest of an emulator in level 1 gets as
/// much done between two ticks as on a fast machine, and level 0's deadlines hold however busy this one is.
const ICOUNT: &str = "shift=0,sleep=off";

/// The end of a run that hangs, where level 0's own deadlines do not end it. Debian's systems start in it even on a busy machine.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// The lab's images.
#[derive(Debug)]
pub(crate) struct Training {
    directory: PathBuf,
}

impl Training {
    /// The images, made before or now by the recipe that users have, with this machine's release and mirror of Debian.
    pub(crate) fn images(nvmm: &Path) -> Result<Self> {
        let directory = build::lab_dir().join("training");
        let here = apt::here()?;
        let recipe = build::root().join("resources/lab");
        let wanted = format!("{}\n{}", here.line(""), text_of(&recipe)?);
        let made = directory.join("recipe");
        if !fs::read_to_string(&made).is_ok_and(|recipe| recipe == wanted) {
            eprintln!("lab: making the disks of the training lab");
            fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
            let mut command = apt::as_root("env");
            command.arg(format!("LAB_RELEASE={}", here.release)).arg(format!("LAB_MIRROR={}", here.line("")));
            apt::run(command.arg(recipe.join("images")).arg(&directory).arg(nvmm))?;
            fs::write(&made, wanted).with_context(|| format!("writing {}", made.display()))?;
        }
        Ok(Self { directory })
    }

    /// Runs the test, and shows what level 0 tells.
    pub(crate) fn run(&self, nvmm: &Path, mut show: impl FnMut(&str, Duration, Outcome)) {
        let start = Instant::now();
        if let Err(error) = self.try_run(nvmm, &mut show) {
            show("the training lab", start.elapsed(), Outcome::Failed(format!("{error:#}")));
        }
    }

    fn try_run(&self, nvmm: &Path, show: &mut impl FnMut(&str, Duration, Outcome)) -> Result<()> {
        let tools = self.tools(nvmm)?;
        let mut host = Level0::start(&self.directory, &tools)?;
        host.log_in()?;
        host.send("mount -o ro /dev/vdc /mnt; sh /mnt/level0.sh")?;
        let mut running: Option<(String, Instant, Vec<String>)> = None;
        loop {
            let line = host.line()?;
            let Some(told) = line.strip_prefix("training: ") else {
                running.iter_mut().for_each(|(_, _, said)| said.push(line.clone()));
                continue;
            };
            match told.split_once(' ') {
                Some(("begin", name)) => running = Some((name.to_owned(), Instant::now(), Vec::new())),
                Some((verdict, _)) => {
                    let (name, start, said) =
                        running.take().context("level 0 judges what it did not begin")?;
                    let outcome =
                        if verdict == "passed" { Outcome::Passed } else { Outcome::Failed(said.join("\n")) };
                    show(&name, start.elapsed(), outcome);
                }
                None => return Ok(()),
            }
        }
    }

    /// A disk with nvmm, the lab's scripts and level 0's.
    fn tools(&self, nvmm: &Path) -> Result<PathBuf> {
        let (folder, disk) = (self.directory.join("tools"), self.directory.join("tools.img"));
        let lab = folder.join("lab");
        fs::create_dir_all(&lab).with_context(|| format!("making {}", lab.display()))?;
        let copy = |from: PathBuf, name: &str| {
            fs::copy(&from, lab.join(name)).with_context(|| format!("copying {}", from.display()))
        };
        for name in SCRIPTS {
            copy(build::root().join("resources/lab").join(name), name)?;
        }
        for name in FILES {
            copy(self.directory.join(name), name)?;
        }
        copy(nvmm.to_owned(), "nvmm")?;
        fs::write(folder.join("level0.sh"), SCRIPT).context("writing level 0's script")?;
        if disk.exists() {
            fs::remove_file(&disk).with_context(|| format!("removing {}", disk.display()))?;
        }
        let mut command = Command::new("mke2fs");
        apt::run(command.args(["-q", "-t", "ext4", "-d"]).arg(&folder).arg(&disk).arg("128M"))?;
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        Ok(disk)
    }
}

/// All scripts and files of the recipe, one after the other.
fn text_of(folder: &Path) -> Result<String> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>())
        .with_context(|| format!("reading {}", folder.display()))?;
    entries.sort();
    let texts = entries.iter().map(|path| {
        if path.is_dir() {
            text_of(path)
        } else {
            fs::read_to_string(path).with_context(|| path.display().to_string())
        }
    });
    texts.collect()
}

/// The emulated machine, and what its serial port says. Dropping it ends it.
struct Level0 {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    start: Instant,
}

impl Level0 {
    fn start(directory: &Path, tools: &Path) -> Result<Self> {
        let mut command = Command::new("qemu-system-x86_64");
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ]);
        command.args([
            "-accel",
            "tcg,tb-size=512",
            "-icount",
            ICOUNT,
            "-machine",
            "q35",
            "-cpu",
            QEMU_CPU,
            "-smp",
            "1",
            "-m",
            "4096",
        ]);
        command
            .arg("-kernel")
            .arg(directory.join("vmlinuz"))
            .arg("-initrd")
            .arg(directory.join("initrd.img"));
        command.args(["-append", CMDLINE]);
        // Whatever level 0 and level 1 write is gone with QEMU.
        for disk in [&directory.join("lab.img"), &directory.join("lab.img"), tools] {
            let disk = disk.to_str().context("the lab's path is no UTF-8")?.replace(',', ",,");
            command.args(["-drive", &format!("file={disk},format=raw,if=virtio,snapshot=on")]);
        }
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting qemu-system-x86_64")?;
        let (Some(input), Some(mut from)) = (qemu.stdin.take(), qemu.stdout.take()) else {
            bail!("qemu-system-x86_64 has no pipes");
        };
        let (to, output) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut bytes) {
                if to.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, input, output, unread: Vec::new(), start: Instant::now() })
    }

    fn log_in(&mut self) -> Result<()> {
        for (asked, answer) in [("login: ", "root"), ("Password: ", "lab"), ("# ", "stty -echo")] {
            self.until(asked.as_bytes())?;
            self.send(answer)?;
        }
        self.until(b"# ").map(drop)
    }

    fn send(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).context("writing to level 0")
    }

    fn line(&mut self) -> Result<String> {
        let line = self.until(b"\n")?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// All that comes before `end`.
    fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|part| part == end) {
                let mut before: Vec<_> = self.unread.drain(..at + end.len()).collect();
                before.truncate(at);
                return Ok(before);
            }
            let left = LIMIT.saturating_sub(self.start.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.unread.extend(bytes),
                Err(RecvTimeoutError::Timeout) => bail!("level 0 hangs: {}", self.tail()),
                Err(RecvTimeoutError::Disconnected) => bail!("level 0 ended: {}", self.tail()),
            }
        }
    }

    fn tail(&self) -> String {
        String::from_utf8_lossy(&self.unread[self.unread.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Level0 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

#[cfg(test)]
#[path = "training_test.rs"]
mod tests;
