//! virtio-vsock under Linux: programs on both sides listen and connect, and each echoes its input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use anyhow::{Context, ensure};
use rustix::net::{accept, shutdown};
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::af_vsock;
use crate::legacy;
use crate::level1::PATIENCE;
use crate::scenario::Record;

/// Linux's driver and its dependencies besides virtio's, in order. Those that are not modules are built into the kernel.
pub(crate) const MODULES: [&str; 3] =
    ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"];

/// nvmm's option.
pub(crate) const OPTION: [&str; 2] = ["--vsock", "cid=3,uds=/vsock"];
const PATH: &str = "/vsock";
/// Level 0's address.
pub(crate) const HOST_CID: u32 = 2;
/// The port on which level 0 listens, and its path.
pub(crate) const HOST_PORT: u32 = 52;
const HOST_PATH: &str = "/vsock_52";
/// The port on which level 1 listens.
pub(crate) const GUEST_PORT: u32 = 1234;

/// Level 1's message that it listens.
pub(crate) const LISTENS: &str = "lab: a socket listens";

/// More bytes than either side buffers for a program that doesn't read.
const LEN: usize = 1 << 20;

/// Level 0's part.
#[derive(Debug)]
pub(crate) struct Programs(UnixListener);

impl Programs {
    /// Listens for the guest.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(UnixListener::bind(HOST_PATH).with_context(|| format!("making {HOST_PATH}"))?))
    }

    /// Connects to the guest, and then accepts the guest's connection, after [`LISTENS`].
    pub(crate) fn talk(&self) -> anyhow::Result<()> {
        let talk = || -> anyhow::Result<()> {
            let mut stream = UnixStream::connect(PATH)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            writeln!(stream, "CONNECT {GUEST_PORT}")?;
            let mut answer = String::new();
            BufReader::with_capacity(1, &stream).read_line(&mut answer)?;
            ensure!(answer.starts_with("OK "), "the answer to CONNECT is {answer:?}");
            ask(OwnedFd::from(stream))
        };
        talk().context("connecting to the guest")?;
        let (stream, _) = self.0.accept().context("waiting for the guest")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        answer(OwnedFd::from(stream)).context("answering the guest")
    }
}

/// Level 0: checks level 1's result. Level 0 has already checked its own echo.
pub(crate) fn judge(record: &Record) -> anyhow::Result<()> {
    ensure!(record.used_sockets, "it used no sockets");
    Ok(())
}

/// Level 1: accepts the host's connection, and connects to the host.
pub(crate) fn use_them(pid1: &mut Pid1) -> anyhow::Result<()> {
    legacy::load(&pid1.manifest, &MODULES)?;
    let listener = af_vsock::listener(GUEST_PORT, PATIENCE).context("listening")?;
    pid1.say(Said::Text(LISTENS.to_owned()));
    answer(accept(&listener).context("waiting for the host")?).context("answering the host")?;
    ask(af_vsock::connected(HOST_CID, HOST_PORT, PATIENCE).context("connecting to the host")?)
}

/// Sends bytes, and receives the echo at the same time.
pub(crate) fn ask(stream: OwnedFd) -> anyhow::Result<()> {
    let sent: Vec<u8> = (0..251).cycle().take(LEN).collect();
    let mut writer = File::from(stream.try_clone()?);
    let mut got = Vec::with_capacity(LEN);
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            writer.write_all(&sent)?;
            shutdown(&writer, rustix::net::Shutdown::Write)?;
            anyhow::Ok(())
        });
        File::from(stream).read_to_end(&mut got).context("reading")?;
        writes.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?.context("writing")
    })?;
    ensure!(got == sent, "{} of {LEN} bytes came back, or others", got.len());
    Ok(())
}

/// Echoes the input until its end.
pub(crate) fn answer(stream: OwnedFd) -> anyhow::Result<()> {
    let mut reader = File::from(stream.try_clone()?);
    let count = std::io::copy(&mut reader, &mut File::from(stream))?;
    ensure!(count == LEN as u64, "{count} bytes came, not {LEN}");
    Ok(())
}
