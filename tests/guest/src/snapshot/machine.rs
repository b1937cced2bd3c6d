//! A level 1 that runs under an nvmm in level 0.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;
use vmm::nest::child::{Child, Output};
use vmm::nest::console::relay;
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::level::kernel_parameters;
use vmm::nest::report::Said;

use super::{DIFFERENCE, DONE, TIME};
use crate::level0::{Guest, NVMM};
use crate::scenario;

/// `KVM_STATE_NESTED_GUEST_MODE`: the vCPU runs a guest of its own.
const GUEST_MODE: u16 = 1;

/// The time for nvmm to restore a machine, which takes two seconds on an idle host.
const PATIENCE: Duration = Duration::from_secs(120);

/// The machine. It is killed (SIGKILL) on drop.
pub(super) struct Machine {
    nvmm: Child,
    /// The name of its sockets.
    name: String,
    said: String,
}

impl Machine {
    /// Boots level 1.
    pub(super) fn boot(
        guest: &Guest,
        name: &str,
        manifest: &Manifest,
        image: &Memfd,
        disk: &Memfd,
    ) -> anyhow::Result<Self> {
        let (first, scenario) = (kernel_parameters(1, manifest), guest.scenario);
        let parameters = format!("{first} {}{scenario}", scenario::PARAMETER);
        let mut command = guest.by_options(&parameters, image, disk);
        command.args(serial_ports(name));
        Self::start(command, name)
    }

    /// Starts an nvmm whose sockets have this name.
    pub(super) fn start(mut command: Command, name: &str) -> anyhow::Result<Self> {
        for socket in [control(name), port(name)] {
            let _ = fs::remove_file(socket);
        }
        command.args(["--qmp", &control(name)]);
        let nvmm = Child::spawn(command).context("starting nvmm")?;
        Ok(Self { nvmm, name: name.to_owned(), said: String::new() })
    }

    /// Waits until its nvmm has created a file.
    pub(super) fn makes(&mut self, path: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while !Path::new(path).exists() {
            if start.elapsed() > PATIENCE {
                return Err(self.explain(anyhow!("nvmm does not make {path}")));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Makes level 1 continue, and checks the time that it reports.
    pub(super) fn go_on(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let before = SystemTime::now();
        let told = connect(&port(&self.name), PATIENCE).and_then(|mut port| Ok(port.write_all(b"go\n")?));
        told.map_err(|error| self.explain(error.context("nvmm does not go on")))?;
        let told = self.until(manifest, |text| text.strip_prefix(TIME).map(str::to_owned))?;
        let time = UNIX_EPOCH + Duration::from_nanos(told.parse().context("level 1's time")?);
        let after = SystemTime::now();
        ensure!(
            before - DIFFERENCE < time && time < after + DIFFERENCE,
            "level 1's time is {time:?}, and level 0's between {before:?} and {after:?}"
        );
        Ok(())
    }

    /// Adds all of its output so far to an error.
    pub(super) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        match self.hear(Some(Instant::now())) {
            Ok(()) => anyhow!("{error:#}:{}", self.said),
            Err(unheard) => error.context(unheard),
        }
    }

    /// Reads its output until it has ended, or until the deadline.
    fn hear(&mut self, deadline: Option<Instant>) -> anyhow::Result<()> {
        while let Output::Line(line) = self.nvmm.line(deadline).context("reading the console")? {
            self.said = format!("{}\n{}", self.said, String::from_utf8_lossy(&line));
        }
        Ok(())
    }

    /// Waits until level 1 prints a line for which `found` returns a value.
    pub(super) fn until<T>(
        &mut self,
        manifest: &Manifest,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let said = &mut self.said;
        let mut failure = None;
        let mut what = None;
        relay(&mut self.nvmm, 1, manifest.levels, &mut |line| {
            match line.map(|line| &line.said) {
                Some(Said::Fail(_, why)) => failure = Some(why.clone()),
                Some(Said::Text(text)) => {
                    *said = format!("{said}\n{text}");
                    what = found(text);
                }
                _ => {}
            }
            what.is_none() && failure.is_none()
        })?;
        match failure {
            Some(failure) => bail!("{failure}{said}"),
            None => what.with_context(|| format!("level 1 has ended:{said}")),
        }
    }

    /// Runs `nvmm ctl` on it.
    pub(super) fn ctl(&self, words: &[&str]) -> anyhow::Result<()> {
        ctl(&control(&self.name), words)
    }

    /// Saves it while it runs. Returns whether a vCPU was in a guest of its own.
    pub(super) fn save_in_guest(&self, folder: &str) -> anyhow::Result<bool> {
        self.ctl(&["snapshot", folder])?;
        Ok(nested_flags(folder)?.iter().any(|flags| flags & GUEST_MODE != 0))
    }

    /// Waits until it has done everything, and has powered off.
    pub(super) fn end(mut self, manifest: &Manifest) -> anyhow::Result<()> {
        self.until(manifest, |text| (text == DONE).then_some(()))?;
        self.ended()
    }

    /// Waits until its nvmm has ended.
    pub(super) fn ended(mut self) -> anyhow::Result<()> {
        self.hear(None)?;
        let status = self.nvmm.wait().context("waiting for nvmm")?;
        ensure!(status.success(), "nvmm ended with {status}: {}", self.said);
        Ok(())
    }
}

/// The options of both serial ports: the console, and the one for level 0's line.
pub(super) fn serial_ports(name: &str) -> [String; 4] {
    ["--serial", "stdio", "--serial", &format!("unix={},server", port(name))].map(str::to_owned)
}

fn control(name: &str) -> String {
    format!("/{name}.qmp")
}

fn port(name: &str) -> String {
    format!("/{name}.port")
}

/// Runs `nvmm ctl` on the machine of a control socket.
pub(super) fn ctl(socket: &str, words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(image::in_root(NVMM)).args(["ctl", socket]).args(words).output();
    let output = output.context("starting nvmm ctl")?;
    ensure!(output.status.success(), "nvmm ctl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The flags of each vCPU's nested state in KVM.
pub(super) fn nested_flags(folder: &str) -> anyhow::Result<Vec<u16>> {
    let state = fs::read(Path::new(folder).join("state.json")).context("reading the state")?;
    let state: Value = serde_json::from_slice(&state).context("reading the state")?;
    let vcpus = state["kvm"]["vcpus"].as_array().context("the state has no vCPUs")?;
    let flags = vcpus.iter().map(|vcpu| {
        // In hexadecimal, by bytes.
        let bytes = vcpu["nested"].as_str().and_then(|bytes| bytes.get(..4));
        let flags = bytes.and_then(|bytes| u16::from_str_radix(bytes, 16).ok());
        flags.map(u16::swap_bytes).context("a vCPU has no nested state")
    });
    flags.collect()
}

/// Connects to a socket that may not exist yet.
pub(super) fn connect(path: &str, patience: Duration) -> anyhow::Result<UnixStream> {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > patience => return Err(error).context(path.to_owned()),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
