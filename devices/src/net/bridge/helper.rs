//! QEMU's `qemu-bridge-helper`, which has the permission to make a tap on a bridge where /etc/qemu/bridge.conf allows it.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg,
    socketpair,
};

use super::{
    super::{InterfaceName, child},
    error::BridgeError,
};

/// The places where distributions install it.
const PLACES: [&str; 6] = [
    "/usr/lib/qemu/qemu-bridge-helper",
    "/usr/libexec/qemu-bridge-helper",
    "/usr/libexec/qemu/qemu-bridge-helper",
    "/usr/lib64/qemu/qemu-bridge-helper",
    "/usr/local/libexec/qemu-bridge-helper",
    "/run/wrappers/bin/qemu-bridge-helper",
];

/// Makes the helper at `path`, or the installed one, create a tap on `bridge`.
pub(super) fn open(path: Option<&Path>, bridge: InterfaceName, queues: u16) -> Result<OwnedFd, BridgeError> {
    let installed = || PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = path.map(Path::to_path_buf).or_else(installed);
    let path = path.ok_or(BridgeError::NotPermitted { bridge, queues })?;
    if queues > 1 {
        return Err(BridgeError::HelperQueues(bridge, path));
    }
    let started = |error| BridgeError::Start(path.clone(), error);
    let (descriptor, text) = run(&path, bridge).map_err(started)?;
    descriptor.ok_or(BridgeError::Helper { path, bridge, text })
}

/// Returns the descriptor that the helper sends, if it does, and its messages.
fn run(path: &Path, bridge: InterfaceName) -> io::Result<(Option<OwnedFd>, String)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let mut command = Command::new(path);
    let number = child::pass(&mut command, theirs);
    command.arg("--use-vnet").arg(format!("--fd={number}")).arg(format!("--br={bridge}"));
    let running = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    // It has the other end open, which otherwise would never be closed.
    drop(command);
    let descriptor = receive(&ours);
    let ended = running.wait_with_output()?;
    let text = String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ");
    let text = if text.is_empty() { ended.status.to_string() } else { text };
    Ok((descriptor?, text))
}

/// Receives a descriptor; none if the socket is closed.
fn receive(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)
    });
    received?;
    let descriptors = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptors)
}
