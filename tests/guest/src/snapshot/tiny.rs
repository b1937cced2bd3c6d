//! Tiny guests of any level, controlled by bytes on their serial ports.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use vmm::nest::child::Child;
use vmm::nest::image;

use super::machine::connect;
use crate::level0::NVMM;
use crate::level1::PATIENCE;

/// The guest that checks its state for changes.
const LOOKS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot"));
/// The guest that halts.
const HALTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/halted"));
/// The guest that clears SVM's global interrupt flag.
const HOLDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gif"));

/// The number for the names of their files.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// One that runs.
pub(super) struct Tiny {
    nvmm: Child,
    port: UnixStream,
    socket: String,
}

impl Tiny {
    /// Starts the guest that checks for changes, with all state that it can fill.
    pub(super) fn looks(vcpus: &str) -> anyhow::Result<Self> {
        Self::start(LOOKS, &["--smp", vcpus, "--cmdline", "x"])
    }

    /// Starts the guest that halts.
    pub(super) fn halts() -> anyhow::Result<Self> {
        Self::start(HALTS, &[])
    }

    /// Starts the guest that clears the global interrupt flag, with more options.
    pub(super) fn holds(options: &[&str]) -> anyhow::Result<Self> {
        Self::start(HOLDS, options)
    }

    fn start(kernel: &[u8], options: &[&str]) -> anyhow::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (path, socket) = (format!("/tiny{number}"), format!("/tiny{number}.port"));
        fs::write(&path, kernel).context("writing a kernel")?;
        let mut command = Command::new(image::in_root(NVMM));
        command.args(["--kernel", &path, "--memory", "16M", "--debug-exit", "0xf4"]).args(options);
        command.args(["--serial", &format!("unix={socket},server,wait")]);
        let mut this = Self::connected(command, socket)?;
        this.answers("ready")?;
        Ok(this)
    }

    /// Kills it (SIGKILL), and restores it from its snapshot.
    pub(super) fn killed_and_restored(self, folder: &str) -> anyhow::Result<Self> {
        let Self { nvmm, socket, .. } = self;
        drop(nvmm);
        fs::remove_file(&socket).context("removing the last nvmm's socket")?;
        Self::connected(super::restore(folder), socket)
    }

    fn connected(command: Command, socket: String) -> anyhow::Result<Self> {
        let nvmm = Child::spawn(command).context("starting nvmm")?;
        Ok(Self { nvmm, port: connect(&socket, PATIENCE)?, socket })
    }

    /// Makes the guest check for changes, and checks that there are none.
    pub(super) fn is_same(&mut self) -> anyhow::Result<()> {
        self.ask(b'.', "same")
    }

    /// Writes a byte, to which it must answer with these words.
    pub(super) fn ask(&mut self, byte: u8, words: &str) -> anyhow::Result<()> {
        self.port.write_all(&[byte]).context("writing to a tiny guest")?;
        self.answers(words)
    }

    /// Reads a line.
    pub(super) fn answers(&mut self, words: &str) -> anyhow::Result<()> {
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            self.port.read_exact(&mut byte).context("reading from a tiny guest")?;
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line);
        ensure!(line.trim_end() == words, "a tiny guest says {line:?}, not {words:?}");
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.port.write_all(b"q").context("writing to a tiny guest")?;
        let status = self.nvmm.wait().context("waiting for a tiny guest")?;
        ensure!(status.code() == Some(1), "nvmm ended with {status}");
        Ok(())
    }
}
