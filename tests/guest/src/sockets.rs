//! virtio-vsock under Linux: programs of both sides listen and connect, and each sends back what it gets.

#![expect(unsafe_code, reason = "rustix has no addresses of AF_VSOCK")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use anyhow::{Context, ensure};
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, accept, addr::SocketAddrStorage, bind, connect,
    listen, shutdown, socket_with, sockopt,
};
use vmm::nest::image::Manifest;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use crate::level1::PATIENCE;
use crate::scenario::Record;

/// Linux's driver and what it needs besides virtio's, in order. Where they are no modules, the kernel has them.
pub(crate) const MODULES: [&str; 3] =
    ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"];

/// nvmm's option.
pub(crate) const OPTION: [&str; 2] = ["--vsock", "cid=3,uds=/vsock"];
const PATH: &str = "/vsock";
/// The port that level 0 listens at, and its path.
const HOST_PORT: u32 = 52;
const HOST_PATH: &str = "/vsock_52";
/// The port that level 1 listens at.
const GUEST_PORT: u32 = 1234;

/// Level 1 says it once it listens.
pub(crate) const LISTENS: &str = "lab: a socket listens";

/// More than either side keeps for a program that does not read.
const LEN: usize = 1 << 20;

/// The length of a `struct sockaddr_vm`.
const ADDRESS_LEN: u32 = 16;
const _: () = assert!(size_of::<libc::sockaddr_vm>() == ADDRESS_LEN as usize);

/// Level 0's part.
#[derive(Debug)]
pub(crate) struct Programs(UnixListener);

impl Programs {
    /// Listens for the guest.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(UnixListener::bind(HOST_PATH).with_context(|| format!("making {HOST_PATH}"))?))
    }

    /// Connects to the guest, and then has the guest connect. [`LISTENS`] has been heard.
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

/// Level 0: judges what level 1 did. Level 0 itself has got what it sent.
pub(crate) fn judge(record: &Record) -> anyhow::Result<()> {
    ensure!(record.used_sockets, "it used no sockets");
    Ok(())
}

/// Level 1: has the host connect, and connects to it.
pub(crate) fn use_them(pid1: &mut Pid1) -> anyhow::Result<()> {
    let is_there = |name: &&str| pid1.manifest.files.contains(&Manifest::module(name));
    let modules: Vec<_> = MODULES.iter().filter(|name| is_there(name)).map(ToString::to_string).collect();
    pid1::load(&modules)?;
    let listener = socket().context("making a socket")?;
    bind(&listener, &address(libc::VMADDR_CID_ANY, GUEST_PORT)).context("binding a socket")?;
    listen(&listener, 1).context("listening")?;
    pid1.say(Said::Text(LISTENS.to_owned()));
    answer(accept(&listener).context("waiting for the host")?).context("answering the host")?;
    let stream = socket().context("making a socket")?;
    connect(&stream, &address(libc::VMADDR_CID_HOST, HOST_PORT)).context("connecting to the host")?;
    ask(stream)
}

/// Sends bytes, while it gets them back.
fn ask(stream: OwnedFd) -> anyhow::Result<()> {
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

/// Sends back what comes until there is no more.
fn answer(stream: OwnedFd) -> anyhow::Result<()> {
    let mut reader = File::from(stream.try_clone()?);
    let count = std::io::copy(&mut reader, &mut File::from(stream))?;
    ensure!(count == LEN as u64, "{count} bytes came, not {LEN}");
    Ok(())
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

/// The address of a port.
fn address(cid: u32, port: u32) -> SocketAddrAny {
    let [a, b] = libc::sa_family_t::try_from(libc::AF_VSOCK).unwrap_or_default().to_ne_bytes();
    let mut bytes = [0; size_of::<libc::sockaddr_vm>()];
    bytes[..2].copy_from_slice(&[a, b]);
    bytes[4..8].copy_from_slice(&port.to_ne_bytes());
    bytes[8..12].copy_from_slice(&cid.to_ne_bytes());
    let mut storage = MaybeUninit::<SocketAddrStorage>::zeroed();
    // SAFETY: the storage is longer than a `sockaddr_vm`, and nothing else refers to it.
    unsafe { storage.as_mut_ptr().cast::<[u8; size_of::<libc::sockaddr_vm>()]>().write_unaligned(bytes) };
    // SAFETY: it holds a `sockaddr_vm` of this length.
    unsafe { SocketAddrAny::new(storage, ADDRESS_LEN) }
}
