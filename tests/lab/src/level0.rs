//! Level 0 of the training lab: an emulated SVM host with the lab's own Debian, controlled by its serial port.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Clock;
use crate::one_processor::on_one_processor;

const MACHINE: &str = "-nodefaults -no-user-config -display none -no-reboot -serial stdio -accel tcg,tb-size=512 -machine q35 -smp 1 -m 4096";
/// The CPU of `nvmm nest`, without AVX and XSAVE, about which Linux would warn.
const QEMU_CPU: &str = "EPYC,+vgif,-cx16,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsave,-avx,-avx2,-xsaveopt,-xsavec,-f16c,-fma";
const CMDLINE: &str =
    "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off nokaslr systemd.hostname=l0";

/// The time limit of a check by QEMU's clock. The longest check of `cargo lab test` takes about five minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The time limit for level 0 to describe its guests after a check reached [`LIMIT`].
const TO_TELL: Duration = Duration::from_secs(5 * 60);
/// The beginning of the error when level 0 reaches its deadline and can't end the check itself.
pub(crate) const HANGS: &str = "level 0 hangs";

/// The emulated machine, and the output of its serial port. It ends on drop.
#[derive(Debug)]
pub(crate) struct Level0 {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    clock: Clock,
    /// The deadline of the running check, by the clock.
    limit: Duration,
    /// Set while `level0.sh` waits for the line "late", which ends the running check.
    listens: bool,
}

impl Level0 {
    /// Starts it from the images in `directory`, with `tools` as its third disk.
    pub(crate) fn start(directory: &Path, tools: &Path) -> Result<Self> {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(MACHINE.split(' ')).args(["-cpu", QEMU_CPU]);
        command
            .arg("-kernel")
            .arg(directory.join("vmlinuz"))
            .arg("-initrd")
            .arg(directory.join("initrd.img"));
        command.args(["-append", CMDLINE]);
        // Data written by level 0 and level 1 is discarded when QEMU ends.
        for disk in [&directory.join("lab.img"), &directory.join("lab.img"), tools] {
            let disk = disk.to_str().context("the lab's path is no UTF-8")?.replace(',', ",,");
            command.args(["-drive", &format!("file={disk},format=raw,if=virtio,snapshot=on")]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut qemu = on_one_processor(|| command.spawn()).context("starting qemu-system-x86_64")?;
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
        let clock = Clock::of(qemu.id(), "QEMU TCG");
        Ok(Self { qemu, input, output, unread: Vec::new(), clock, limit: LIMIT, listens: false })
    }

    pub(crate) fn log_in(&mut self) -> Result<()> {
        for (asked, answer) in [("login: ", "root"), ("Password: ", "lab"), ("# ", "stty -echo")] {
            self.until(asked.as_bytes())?;
            self.send(answer)?;
        }
        self.until(b"# ").map(drop)
    }

    /// Starts the time limit of a check.
    pub(crate) fn begin(&mut self) {
        self.limit = self.clock.now() + LIMIT;
        self.listens = true;
    }

    pub(crate) fn send(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).context("writing to level 0")
    }

    pub(crate) fn line(&mut self) -> Result<String> {
        let line = self.until(b"\n")?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// The output before `end`.
    fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|part| part == end) {
                let mut before: Vec<_> = self.unread.drain(..at + end.len()).collect();
                before.truncate(at);
                return Ok(before);
            }
            self.watch()?;
            match self.output.recv_timeout(Duration::from_secs(1)) {
                Ok(bytes) => self.unread.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("level 0 ended: {}", self.tail()),
            }
        }
    }

    /// Sends "late" to level 0 when the running check reaches its deadline. Returns an error if level 0 can't read it, or was sent it before
    /// and did not end the check within [`TO_TELL`].
    fn watch(&mut self) -> Result<()> {
        if self.clock.now() < self.limit {
            return Ok(());
        }
        if !std::mem::take(&mut self.listens) {
            bail!("{HANGS}: {}", self.tail());
        }
        self.limit += TO_TELL;
        self.send("late")
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
