//! A network in user space, by passt: the guest's connections are made by a program of the host, which needs no privileges.

mod process;
mod route;
mod stream;

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair},
    pipe::{PipeFlags, pipe_with},
};
use thiserror::Error;
use vm_memory::VolatileSlice;

use self::{process::Process, stream::Stream};
use super::{Forward, Network, Offloads, Port, Protocol, child, ioctl};
use crate::printable::ToPrintable;

/// The smallest MTU of IPv4: RFC 791.
const LEAST_MTU: u16 = 68;

/// The most time that passt may take to start.
const START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// A running passt, which is ended when this is dropped.
#[derive(Debug)]
pub struct Passt {
    name: String,
    mtu: u16,
    port: PasstPort,
}

#[derive(Debug)]
struct PasstPort {
    stream: Stream,
    process: Process,
}

/// The options for passt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasstOptions {
    /// Ports of the host that are forwarded to the guest.
    pub forwards: Vec<Forward>,
    /// The guest's MTU; by default the largest, which is fastest.
    pub mtu: Option<u16>,
    /// The program; by default `passt`, found in $PATH.
    pub program: Option<PathBuf>,
}

/// Reasons why passt doesn't run.
#[derive(Debug, Error)]
pub enum PasstError {
    /// passt is not installed.
    #[error("{} is not installed; install it, such as by: apt install passt", .0.printable())]
    Missing(PathBuf),
    /// passt can't be started.
    #[error("{}", .0.printable())]
    Start(PathBuf, #[source] io::Error),
    /// passt refuses this MTU.
    #[error("an MTU of {0}: passt takes one from {LEAST_MTU} to {most}", most = Passt::MOST_MTU)]
    Mtu(u16),
    /// A port of the host is in use, or this user may not use it.
    #[error("forwarding {0}")]
    Forward(Forward, #[source] io::Error),
    /// passt ended while it started.
    #[error("{} ended ({status}): {text}", .program.printable())]
    Ended {
        /// The program.
        program: PathBuf,
        /// The exit status.
        status: ExitStatus,
        /// The last message.
        text: String,
    },
    /// passt ended while it started, on a host that has no address and router for the guest to share.
    #[error(
        "{} ended ({status}): {text}; it needs a default route, which this host lacks; add one, such as by: ip route add \
         default via ROUTER, or give bridge=BRIDGE or tap", .program.printable()
    )]
    NoRoute {
        /// The program.
        program: PathBuf,
        /// The exit status.
        status: ExitStatus,
        /// The last message.
        text: String,
    },
    /// passt did not begin its work in time.
    #[error("{} has not begun its work for {time} seconds", .0.printable(), time = START.as_secs())]
    Hangs(PathBuf),
}

impl Passt {
    /// The largest MTU that passt takes. Frames may be so long because there are no offloads.
    pub const MOST_MTU: u16 = 65_520;

    /// Starts passt, and returns once it serves the socket.
    ///
    /// # Errors
    ///
    /// passt is not installed, or refuses, for example because a port is in use.
    pub fn start(options: &PasstOptions) -> Result<Self, PasstError> {
        let program = options.program.clone().unwrap_or_else(|| "passt".into());
        let mtu = options.mtu.unwrap_or(Self::MOST_MTU);
        if !(LEAST_MTU..=Self::MOST_MTU).contains(&mtu) {
            return Err(PasstError::Mtu(mtu));
        }
        for forward in &options.forwards {
            // If another program has a port by IPv4, passt forwards it by IPv6 only, and doesn't report that.
            forward.check().map_err(|error| PasstError::Forward(*forward, error))?;
        }
        let started = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => PasstError::Missing(program.clone()),
            _ => PasstError::Start(program.clone(), error),
        };
        let spawn = || spawn(&program, mtu, &options.forwards);
        let port = spawn().map_err(started)?;
        let forwards: String = options.forwards.iter().map(|forward| format!(", {forward}")).collect();
        let passt = Self { name: format!("user by passt{forwards}"), mtu, port };
        passt.wait(&program)?;
        Ok(passt)
    }

    /// Waits until passt reads frames. By then, it has opened its ports.
    fn wait(&self, program: &Path) -> Result<(), PasstError> {
        let started = |error| PasstError::Start(program.to_path_buf(), error);
        let PasstPort { stream, process } = &self.port;
        let socket = stream.socket();
        // passt uses a frame's source as the guest's address until it learns another one: send from the broadcast address, which passt uses
        // anyway.
        let mut frame = [0xff; 4 + 60];
        frame[..4].copy_from_slice(&60_u32.to_be_bytes());
        // "Local Experimental EtherType", which passt ignores.
        frame[16..18].copy_from_slice(&[0x88, 0xb5]);
        // It fails only if passt has ended.
        let _ = send(socket, &frame, SendFlags::NOSIGNAL);
        let since = Instant::now();
        loop {
            if let Some(status) = process.status().map_err(started)? {
                let text = process.last_words().unwrap_or_else(|| "it says nothing".to_owned());
                let program = program.to_path_buf();
                return Err(match status.code() {
                    Some(_) if !route::has_default() => PasstError::NoRoute { program, status, text },
                    _ => PasstError::Ended { program, status, text },
                });
            }
            // In this order: a socket that the other side has closed has no unread bytes.
            if ioctl::unread(socket).map_err(started)? == 0 && !is_hung_up(socket) {
                process.forget_words();
                return Ok(());
            }
            if since.elapsed() >= START {
                return Err(PasstError::Hangs(program.to_path_buf()));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Network for Passt {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn most_ports(&self) -> u16 {
        1
    }

    fn use_ports(&self, _ports: u16) -> io::Result<()> {
        Ok(())
    }

    fn port(&self, _index: u16) -> &dyn Port {
        &self.port
    }

    fn check(&self) -> io::Result<()> {
        match self.port.process.status()? {
            None => Ok(()),
            Some(status) => Err(io::Error::new(io::ErrorKind::BrokenPipe, self.port.process.tell(status))),
        }
    }

    fn news(&self) -> Option<BorrowedFd<'_>> {
        self.port.process.end()
    }

    fn mtu(&self) -> Option<u16> {
        Some(self.mtu)
    }

    fn set_header_len(&self, len: usize) -> io::Result<()> {
        self.port.stream.set_header_len(len);
        Ok(())
    }

    fn takes(&self) -> Offloads {
        Offloads::empty()
    }

    fn gives(&self) -> Offloads {
        Offloads::empty()
    }

    fn give(&self, offloads: Offloads) -> io::Result<()> {
        if offloads.is_empty() { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

impl PasstPort {
    /// Adds to an error how passt ended, if it has.
    fn explain(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                io::Error::new(error.kind(), self.process.last_will())
            }
            _ => error,
        }
    }
}

impl Port for PasstPort {
    fn descriptor(&self) -> RawFd {
        self.stream.descriptor()
    }

    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
        self.stream.receive(buffers).map_err(|error| self.explain(error))
    }

    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.stream.send(buffers).map_err(|error| self.explain(error))
    }

    fn flush(&self) -> io::Result<()> {
        self.stream.flush().map_err(|error| self.explain(error))
    }
}

fn spawn(program: &Path, mtu: u16, forwards: &[Forward]) -> io::Result<PasstPort> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
    // The pipe need not be read: what does not fit is lost, and passt doesn't wait.
    let (words, says) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let mut command = Command::new(program);
    let number = child::pass(&mut command, theirs);
    command.args(["--foreground", "--quiet", "--fd", &number.to_string(), "--mtu", &mtu.to_string()]);
    for (protocol, option) in [(Protocol::Tcp, "--tcp-ports"), (Protocol::Udp, "--udp-ports")] {
        let mut ports: Vec<_> =
            forwards.iter().filter(|it| it.protocol == protocol).map(as_passt_says).collect();
        if ports.is_empty() {
            // Otherwise some versions forward UDP ports like the TCP ports.
            ports.push("none".to_string());
        }
        ports.iter().for_each(|ports| _ = command.args([option, ports]));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(says);
    let child = command.spawn()?;
    Ok(PasstPort { stream: Stream::new(ours), process: Process::new(child, words) })
}

/// A forwarded port as passt's options have it: ADDRESS/PORT:GUESTPORT.
fn as_passt_says(forward: &Forward) -> String {
    let address = forward.address.map(|address| format!("{address}/")).unwrap_or_default();
    format!("{address}{}:{}", forward.port, forward.guest_port)
}

fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let _ = poll(&mut fds, Some(&Timespec::default()));
    fds[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
#[path = "passt_test.rs"]
mod tests;
