//! The kernel's calls for taps and interfaces.

#![expect(unsafe_code, reason = "ioctls and descriptors that were inherited")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use libc::{IFNAMSIZ, Ioctl, c_int, c_uint, c_ulong};

/// Adds an interface to a bridge: linux/sockios.h. The libc crate lacks this constant.
const SIOCBRADDIF: Ioctl = 0x89a2;

/// Commands of ethtool: linux/ethtool.h.
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GLINK: u32 = 10;

/// A call that takes a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Attaches a queue to a tap. The tap is made if it doesn't exist.
    TunSetInterface,
    /// Returns the tap that a queue belongs to.
    TunGetInterface,
    /// Attaches or detaches a queue temporarily.
    TunSetQueue,
    GetFlags,
    SetFlags,
    GetMtu,
    SetMtu,
    GetAddress,
    SetAddress,
    /// Adds an interface, given by number, to a bridge, given by name.
    JoinBridge,
}

impl Call {
    fn code(self) -> Ioctl {
        match self {
            Self::TunSetInterface => libc::TUNSETIFF,
            Self::TunGetInterface => libc::TUNGETIFF,
            Self::TunSetQueue => libc::TUNSETQUEUE,
            Self::GetFlags => libc::SIOCGIFFLAGS as Ioctl,
            Self::SetFlags => libc::SIOCSIFFLAGS as Ioctl,
            Self::GetMtu => libc::SIOCGIFMTU as Ioctl,
            Self::SetMtu => libc::SIOCSIFMTU as Ioctl,
            Self::GetAddress => libc::SIOCGIFHWADDR as Ioctl,
            Self::SetAddress => libc::SIOCSIFHWADDR as Ioctl,
            Self::JoinBridge => SIOCBRADDIF,
        }
    }
}

/// `struct ifreq`: an interface's name, and an argument or a result.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) name: [u8; IFNAMSIZ],
    pub(super) value: [u8; 24],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// Makes `call` with `request`, into which the result is written.
pub(super) fn call(fd: impl AsFd, call: Call, request: &mut Request) -> io::Result<()> {
    // SAFETY: each `Call` reads and writes a `struct ifreq`, and uses no pointer in it.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), call.code(), request) })
}

/// Sets the length of the header before each frame.
pub(super) fn set_header_len(queue: impl AsFd, len: usize) -> io::Result<()> {
    let len = c_int::try_from(len).map_err(io::Error::other)?;
    // SAFETY: this call reads an int.
    check(unsafe { libc::ioctl(queue.as_fd().as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) })
}

/// Sets the offloads that frames may have, as `TUN_F_*` flags.
pub(super) fn set_offloads(queue: impl AsFd, offloads: c_uint) -> io::Result<()> {
    // SAFETY: this call takes a number, and no pointer.
    check(unsafe { libc::ioctl(queue.as_fd().as_raw_fd(), libc::TUNSETOFFLOAD, c_ulong::from(offloads)) })
}

/// Returns the number of bytes in a socket that the other side has not read.
pub(super) fn unread(socket: impl AsFd) -> io::Result<c_int> {
    let mut count: c_int = 0;
    // SAFETY: this call, a socket's SIOCOUTQ, writes an int.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) })?;
    Ok(count)
}

/// Returns the name of an interface's driver and its bus: `tun` and `tap` for a tap.
pub(super) fn driver(socket: impl AsFd, name: [u8; IFNAMSIZ]) -> io::Result<[[u8; 32]; 2]> {
    /// `struct ethtool_drvinfo`.
    #[repr(C)]
    struct DriverInfo {
        command: u32,
        driver: [u8; 32],
        versions: [[u8; 32]; 2],
        bus: [u8; 32],
        others: [u8; 64],
    }
    const _: () = assert!(size_of::<DriverInfo>() == 196);
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        versions: [[0; 32]; 2],
        bus: [0; 32],
        others: [0; 64],
    };
    ethtool(socket, name, &mut info)?;
    Ok([info.driver, info.bus])
}

/// Returns whether an interface has a carrier.
pub(super) fn has_carrier(socket: impl AsFd, name: [u8; IFNAMSIZ]) -> io::Result<bool> {
    // `struct ethtool_value`.
    let mut value = [ETHTOOL_GLINK, 0];
    ethtool(socket, name, &mut value)?;
    Ok(value[1] != 0)
}

/// Calls ethtool with `data`, which starts with the number of a command whose result fits into `T`.
fn ethtool<T>(socket: impl AsFd, name: [u8; IFNAMSIZ], data: &mut T) -> io::Result<()> {
    let mut request = Request { name, value: [0; 24] };
    request.value[..8].copy_from_slice(&(&raw mut *data).expose_provenance().to_ne_bytes());
    // SAFETY: this call reads a `struct ifreq`, whose pointer is to `data`, where the answer has room.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCETHTOOL as Ioctl, &raw mut request) })
}

/// Takes over the descriptor `number`, which the parent process left open for this program.
///
/// # Errors
///
/// There is no such descriptor, or it is this program's own, for example because it was taken over before.
pub(super) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: this reads no memory.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    check(flags)?;
    // This program opens its own descriptors with close-on-exec. An inherited one can't have that flag, or it would have been closed.
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: this reads no memory.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, and nothing else in this program owns it, as shown above. From now on it has an owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
