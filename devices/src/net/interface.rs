//! Network interfaces of the host.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    str::{self, FromStr},
};

use libc::{IFF_UP, IFNAMSIZ, c_int};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};

use super::{
    MacAddress,
    ioctl::{self, Call, Request},
};

/// The name of an interface, in Linux's form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InterfaceName([u8; IFNAMSIZ]);

/// The text can't be an interface's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an interface's name has 1 to 15 bytes, and no '/', ':' or white space")]
pub struct InterfaceNameError;

impl InterfaceName {
    /// No name, for calls that need none.
    pub(super) const NONE: Self = Self([0; IFNAMSIZ]);

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(IFNAMSIZ);
        str::from_utf8(&self.0[..len]).unwrap_or_default()
    }

    /// Returns whether the kernel has to put a number into it.
    pub(super) fn is_pattern(self) -> bool {
        self.as_str().contains('%')
    }

    pub(super) fn request(self, value: &[u8]) -> Request {
        let mut request = Request { name: self.0, value: [0; 24] };
        request.value[..value.len()].copy_from_slice(value);
        request
    }
}

impl From<[u8; IFNAMSIZ]> for InterfaceName {
    fn from(name: [u8; IFNAMSIZ]) -> Self {
        Self(name)
    }
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    /// Parses a name, or a pattern such as `tap%d`, for which the kernel uses the first free number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_bad = |c: char| matches!(c, '/' | ':' | '\0') || c.is_ascii_whitespace() || c == '\x0b';
        let has_bad_percent = text.replacen("%d", "", 1).contains('%');
        if text.is_empty() || matches!(text, "." | "..") || text.contains(is_bad) || has_bad_percent {
            return Err(InterfaceNameError);
        }
        let mut name = [0; IFNAMSIZ];
        // The last byte is the terminating NUL.
        name[..IFNAMSIZ - 1]
            .get_mut(..text.len())
            .ok_or(InterfaceNameError)?
            .copy_from_slice(text.as_bytes());
        Ok(Self(name))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// An interface of this process's network namespace. It may have been removed.
#[derive(Debug)]
pub(super) struct Interface {
    socket: OwnedFd,
    name: InterfaceName,
}

impl Interface {
    pub(super) fn new(name: InterfaceName) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, name })
    }

    pub(super) fn is_tap(&self) -> bool {
        self.driver().is_some_and(|[driver, bus]| is(&driver, "tun") && is(&bus, "tap"))
    }

    pub(super) fn is_macvtap(&self) -> bool {
        self.driver().is_some_and(|[driver, _]| is(&driver, "macvlan"))
    }

    /// Returns whether frames can come and go once the interface is up. For a tap, this means that a program has it open.
    pub(super) fn has_carrier(&self) -> io::Result<bool> {
        ioctl::has_carrier(&self.socket, self.name.0)
    }

    pub(super) fn mtu(&self) -> io::Result<u32> {
        let [a, b, c, d, ..] = self.get(Call::GetMtu)?;
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }

    pub(super) fn set_mtu(&self, mtu: u32) -> io::Result<()> {
        self.set(Call::SetMtu, &mtu.to_ne_bytes())
    }

    pub(super) fn is_up(&self) -> io::Result<bool> {
        Ok(c_int::from(self.flags()?) & IFF_UP != 0)
    }

    pub(super) fn set_up(&self) -> io::Result<()> {
        let up = i16::try_from(IFF_UP).map_err(io::Error::other)?;
        self.set(Call::SetFlags, &(self.flags()? | up).to_ne_bytes())
    }

    pub(super) fn address(&self) -> io::Result<MacAddress> {
        // A `struct sockaddr`, which starts with the address family.
        let [_, _, a, b, c, d, e, f, ..] = self.get(Call::GetAddress)?;
        Ok(MacAddress([a, b, c, d, e, f]))
    }

    pub(super) fn set_address(&self, MacAddress([a, b, c, d, e, f]): MacAddress) -> io::Result<()> {
        let [x, y] = libc::ARPHRD_ETHER.to_ne_bytes();
        self.set(Call::SetAddress, &[x, y, a, b, c, d, e, f])
    }

    /// Makes it a port of `bridge`.
    pub(super) fn join(&self, bridge: InterfaceName) -> io::Result<()> {
        let mut request = bridge.request(&self.index()?.to_ne_bytes());
        ioctl::call(&self.socket, Call::JoinBridge, &mut request)
    }

    pub(super) fn index(&self) -> io::Result<u32> {
        Ok(name_to_index(&self.socket, self.name.as_str())?)
    }

    fn driver(&self) -> Option<[[u8; 32]; 2]> {
        ioctl::driver(&self.socket, self.name.0).ok()
    }

    fn flags(&self) -> io::Result<i16> {
        let [a, b, ..] = self.get(Call::GetFlags)?;
        Ok(i16::from_ne_bytes([a, b]))
    }

    fn get(&self, call: Call) -> io::Result<[u8; 24]> {
        let mut request = self.name.request(&[]);
        ioctl::call(&self.socket, call, &mut request)?;
        Ok(request.value)
    }

    fn set(&self, call: Call, value: &[u8]) -> io::Result<()> {
        ioctl::call(&self.socket, call, &mut self.name.request(value))
    }
}

/// Returns whether the kernel's string is `wanted`.
fn is(text: &[u8; 32], wanted: &str) -> bool {
    text.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest[0] == 0)
}

#[cfg(test)]
#[path = "interface_test.rs"]
mod tests;
