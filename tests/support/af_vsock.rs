//! Sockets of `AF_VSOCK`, whose addresses neither std nor rustix supports.
#![expect(unsafe_code, reason = "an address is a structure of the kernel's")]

use std::{mem::MaybeUninit, os::fd::OwnedFd, time::Duration};

use rustix::{
    io,
    net::{
        AddressFamily, SocketAddrAny, SocketFlags, SocketType, addr::SocketAddrStorage, bind, connect,
        listen, socket_with, sockopt,
    },
};

/// `VMADDR_CID_ANY`.
const ANY: u32 = u32::MAX;
/// The length of a `struct sockaddr_vm`.
const LEN: usize = 16;

/// Listens at `port`. The listener and its connections wait for at most `patience`.
pub(crate) fn listener(port: u32, patience: Duration) -> io::Result<OwnedFd> {
    let socket = socket(patience)?;
    bind(&socket, &address(ANY, port))?;
    listen(&socket, 1)?;
    Ok(socket)
}

/// Connects to `port` of the machine `cid`. The connection waits for at most `patience`.
pub(crate) fn connected(cid: u32, port: u32, patience: Duration) -> io::Result<OwnedFd> {
    let socket = socket(patience)?;
    connect(&socket, &address(cid, port))?;
    Ok(socket)
}

fn socket(patience: Duration) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(patience))?;
    Ok(socket)
}

fn address(cid: u32, port: u32) -> SocketAddrAny {
    let mut bytes = [0; LEN];
    bytes[..2].copy_from_slice(&AddressFamily::VSOCK.as_raw().to_ne_bytes());
    bytes[4..8].copy_from_slice(&port.to_ne_bytes());
    bytes[8..12].copy_from_slice(&cid.to_ne_bytes());
    let mut storage = MaybeUninit::<SocketAddrStorage>::zeroed();
    // SAFETY: the storage is longer than a `sockaddr_vm`, and nothing else refers to it.
    unsafe { storage.as_mut_ptr().cast::<[u8; LEN]>().write_unaligned(bytes) };
    // SAFETY: it holds a `sockaddr_vm` of this length.
    unsafe { SocketAddrAny::new(storage, 16) }
}
