//! vhost-vsock under Linux: programs of level 0 connect by its kernel's sockets to those of level 1. Level 1 is paused, and then resets
//! itself, with a connection open.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::net::{accept, sockopt};
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::pid1::Pid1;

use crate::af_vsock;
use crate::legacy;
use crate::level0::{Guest, NVMM};
use crate::level1::PATIENCE;
use crate::reset::Reset;
use crate::scenario::{self, Record};
use crate::sockets::{self, GUEST_PORT, HOST_CID, HOST_PORT};

/// Level 0's modules besides [`sockets::MODULES`], in order. Those that are not modules are built into the kernel.
pub(crate) const MODULES: [&str; 3] = ["vhost_iotlb", "vhost", "vhost_vsock"];

/// Level 1's address, and nvmm's option with it.
const CID: u32 = 4;
const OPTION: [&str; 2] = ["--vsock", "cid=4"];
/// The control socket.
const SOCKET: &str = "/vhost-qmp";

/// Level 0's part.
struct Programs {
    listener: OwnedFd,
    /// The connection that level 1 leaves open.
    held: Option<File>,
}

/// Level 0: makes level 1 use them, reset itself, and use them again.
pub(crate) fn run(manifest: &Manifest, image: &Memfd) -> anyhow::Result<()> {
    legacy::load(manifest, &[&sockets::MODULES[..2], &MODULES].concat())?;
    let mut programs = Programs::new()?;
    let guest = Guest {
        scenario: scenario::VHOST,
        options: [OPTION, ["--qmp", SOCKET]].concat(),
        ..Guest::default()
    };
    let mut hear = |text: &str, _| if text == sockets::LISTENS { programs.talk() } else { Ok(()) };
    let record = guest.record(manifest, image, &mut hear)?;
    ensure!(record.boots == 2, "level 1 was to boot twice, and did {} times", record.boots);
    sockets::judge(&record)
}

impl Programs {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { listener: af_vsock::listener(HOST_PORT, PATIENCE).context("listening")?, held: None })
    }

    /// Connects to the guest, and then accepts the guest's connections: two before its reset, the second of which stays open.
    fn talk(&mut self) -> anyhow::Result<()> {
        let is_again = self.held.is_some();
        if let Some(held) = self.held.take() {
            has_ended(held).context("the connection from before the reset")?;
        }
        let stream = af_vsock::connected(CID, GUEST_PORT, PATIENCE).context("connecting to the guest")?;
        sockets::ask(stream).context("asking the guest")?;
        sockets::answer(self.accept()?).context("answering the guest")?;
        if !is_again {
            let mut held = File::from(self.accept()?);
            is_in_use().context("starting a guest with the same address")?;
            // The data arrives when the guest continues.
            control("stop")?;
            held.write_all(b"x").context("answering the paused guest")?;
            control("cont")?;
            self.held = Some(held);
        }
        Ok(())
    }

    fn accept(&self) -> anyhow::Result<OwnedFd> {
        let stream = accept(&self.listener).context("waiting for the guest")?;
        sockopt::set_socket_timeout(&stream, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(stream)
    }
}

/// Sends a command to level 1's nvmm.
fn control(command: &str) -> anyhow::Result<()> {
    let output = nvmm().args(["ctl", SOCKET, command]).output().context("starting nvmm ctl")?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Checks that no other guest can have level 1's address.
fn is_in_use() -> anyhow::Result<()> {
    let mut other = nvmm();
    other.arg("--kernel").arg(image::in_root(image::KERNEL)).args(OPTION);
    let output = other.output().context("starting nvmm")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.contains("another guest of this host has the address 4"), "{error}");
    Ok(())
}

fn nvmm() -> Command {
    Command::new(image::in_root(NVMM))
}

/// Checks that the connection is reported as closed.
fn has_ended(mut stream: File) -> anyhow::Result<()> {
    sockopt::set_socket_timeout(&stream, sockopt::Timeout::Recv, Some(Duration::from_secs(1)))?;
    match stream.read(&mut [0]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => bail!("{other:?} where it should have ended"),
    }
}

/// Level 1: uses the sockets, and resets itself on its first boot.
pub(crate) fn use_them(pid1: &mut Pid1, record: &mut Record, disk: &Path) -> anyhow::Result<()> {
    sockets::use_them(pid1).context("using sockets")?;
    if record.boots == 1 {
        let held = af_vsock::connected(HOST_CID, HOST_PORT, PATIENCE).context("connecting to the host")?;
        File::from(held.try_clone()?).read_exact(&mut [0]).context("reading")?;
        record.write(disk)?;
        Reset::Acpi.now().context("resetting")?;
        thread::sleep(PATIENCE);
        bail!("no reset, with {held:?} open");
    }
    record.used_sockets = true;
    Ok(())
}
