//! A client's end of a control socket, nvmm's or QEMU's.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixStream,
        },
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context, Error, Result, anyhow, bail};
use devices::{chars::Address, printable::ToPrintable};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};
use serde_json::{Map, Value, json};

use crate::qmp::reader::Reader;

/// The longest answer, in bytes.
const LONGEST: usize = 64 << 20;
/// The time that a machine has for its greeting. nvmm sends it at once, even while it builds a machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Advice if a path is not that of a control socket.
const GIVE: &str = "give the path that --qmp named";

/// A connection over which commands are sent.
#[derive(Debug)]
pub(super) struct Connection {
    name: String,
    socket: UnixStream,
    reader: Reader,
    /// The events that came before an answer.
    events: VecDeque<Value>,
}

/// The machine has closed the connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}: the machine has ended")]
pub(super) struct Ended(String);

/// The other end does not speak QMP.
#[derive(Debug, thiserror::Error)]
#[error("{0}: what listens there does not speak QMP; {GIVE}")]
struct NotQmp(String);

impl Connection {
    /// Connects to the socket at `path`, and waits for the greeting.
    ///
    /// # Errors
    ///
    /// No program listens there, or it is no machine.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.printable().to_string();
        Address::Unix(path.to_owned()).check()?;
        let socket = UnixStream::connect(path).map_err(|error| refusal(&name, path, error))?;
        Self::begin(name, socket, PATIENCE)
    }

    /// Waits for the greeting, for at most `patience`, and begins.
    pub(super) fn begin(name: String, socket: UnixStream, patience: Duration) -> Result<Self> {
        let mut connection = Self { name, socket, reader: Reader::new(LONGEST), events: VecDeque::new() };
        connection.socket.set_read_timeout(Some(patience)).with_context(|| connection.name.clone())?;
        let greeting = connection.receive(None).map_err(|error| match error.downcast_ref::<io::Error>() {
            Some(timeout) if timeout.kind() == io::ErrorKind::WouldBlock => anyhow!(
                "{0}: no greeting came; it is another kind of socket (`nvmm console {0}` is for a serial port's), or QEMU's, \
                 which has one client at a time",
                connection.name
            ),
            _ => error,
        })?;
        let Some(greeting) = greeting else { return Err(Ended(connection.name).into()) };
        if greeting.get("QMP").is_none() {
            match greeting["error"]["desc"].as_str() {
                Some(refusal) => bail!("{}: {}", connection.name, refusal.printable()),
                None => bail!(NotQmp(connection.name)),
            }
        }
        connection.socket.set_read_timeout(None).with_context(|| connection.name.clone())?;
        connection.call("qmp_capabilities", Map::new())?;
        Ok(connection)
    }

    /// Sends a command, and waits for the answer.
    ///
    /// # Errors
    ///
    /// The machine refuses, with its message, or it has [`Ended`].
    pub(super) fn call(&mut self, command: &str, arguments: Map<String, Value>) -> Result<Value> {
        self.call_with(command, arguments, None)
    }

    /// Sends a command with a descriptor, and waits for the answer.
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::call`].
    pub(super) fn call_with(
        &mut self,
        command: &str,
        arguments: Map<String, Value>,
        passed: Option<BorrowedFd<'_>>,
    ) -> Result<Value> {
        let mut call = json!({"execute": command});
        if !arguments.is_empty() {
            call["arguments"] = arguments.into();
        }
        // Even if this fails, the machine may have sent a reason before it closed the socket.
        let call = format!("{call}\n");
        let sent = match passed {
            None => self.socket.write_all(call.as_bytes()),
            Some(passed) => send_with(&self.socket, call.as_bytes(), passed),
        };
        while let Some(mut said) = self.receive(None)? {
            if let Some(answer) = said.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(refusal) = said["error"]["desc"].as_str() {
                if said["error"]["class"] == "CommandNotFound" {
                    return Err(self.unknown(command, refusal));
                }
                // Some of nvmm's messages begin with the command's name.
                let rest = refusal.strip_prefix(command).unwrap_or_default();
                match rest.starts_with([':', ' ']) {
                    true => bail!("{refusal}"),
                    false => bail!("{command}: {refusal}"),
                }
            }
            self.events.push_back(said);
        }
        sent.with_context(|| self.name.clone())?;
        Err(Ended(self.name.clone()).into())
    }

    /// The error for a command that the machine lacks, with the machine's message, and how to list its commands.
    pub(super) fn unknown(&self, command: &str, refusal: &str) -> Error {
        anyhow!("{command}: {refusal}; `nvmm ctl {}` lists the commands", self.name)
    }

    /// Waits for the next event; none once the machine has ended, or the reader of `output` has gone.
    ///
    /// # Errors
    ///
    /// The connection fails, or its other end does not speak QMP.
    pub(super) fn event(&mut self, output: BorrowedFd<'_>) -> Result<Option<Value>> {
        match self.events.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.receive(Some(output)),
        }
    }

    /// Waits for the machine's next message, as long as `output` has a reader.
    fn receive(&mut self, output: Option<BorrowedFd<'_>>) -> Result<Option<Value>> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            if let Some(next) = self.reader.next() {
                return next.map(Some).map_err(|_| NotQmp(self.name.clone()).into());
            }
            if let Some(output) = output
                && !is_readable(&self.socket, output).with_context(|| self.name.clone())?
            {
                return Ok(None);
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(len) => self.reader.push(&bytes[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).with_context(|| self.name.clone()),
            }
        }
    }
}

/// Sends a line with a descriptor.
fn send_with(mut socket: &UnixStream, line: &[u8], passed: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [passed];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = sendmsg(socket, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL)?;
    socket.write_all(&line[sent..])
}

/// The reason why the connection to `path` failed, and what to do.
fn refusal(name: &str, path: &Path, error: io::Error) -> Error {
    let found = path.metadata();
    match (error.kind(), &found) {
        (_, Ok(found)) if found.is_dir() => anyhow!("{name}: it is a folder, and no control socket; {GIVE}"),
        (_, Ok(found)) if !found.file_type().is_socket() => {
            anyhow!("{name}: it is a file, and no control socket; {GIVE}")
        }
        (io::ErrorKind::NotFound, _) => anyhow!("{name}: there is no such control socket; {GIVE}"),
        (io::ErrorKind::ConnectionRefused, _) => {
            anyhow!("{name}: no machine listens there; the one that did has ended, or was killed")
        }
        (io::ErrorKind::PermissionDenied, Ok(found)) => anyhow!(
            "{name}: this user may not connect; be the user whose machine it is (its user id is {}), or root",
            found.uid()
        ),
        (io::ErrorKind::PermissionDenied, Err(_)) => {
            anyhow!(
                "{name}: this user may not look into its folder; be the user whose machine it is, or root"
            )
        }
        _ => Error::new(error).context(format!("{name}: there is no connection")),
    }
}

/// Waits until `socket` can be read. Returns false if the reader of `output` goes first.
fn is_readable(socket: &UnixStream, output: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(output, PollFlags::empty()),
        ];
        match poll(&mut polled, None) {
            Ok(_) => return Ok(!polled[1].revents().contains(PollFlags::ERR)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
