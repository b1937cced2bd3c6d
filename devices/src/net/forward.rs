//! Ports of the host that are forwarded to a guest.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    str::FromStr,
};

/// A port of the host from which connections are forwarded to a port of the guest: QEMU's `hostfwd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address; by default all of them.
    pub address: Option<IpAddr>,
    /// The host's port.
    pub port: u16,
    /// The guest's port.
    pub guest_port: u16,
}

/// A protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Reasons why a text is no forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The text is not a protocol, an address and two ports.
    #[error("give tcp:[ADDRESS]:PORT-:GUESTPORT, such as tcp:127.0.0.1:2222-:22 (or udp:...)")]
    Form,
    /// The host's address is invalid.
    #[error(
        "the host's address is to be one of IPv4, such as 127.0.0.1, or of IPv6 in brackets, such as [::1]"
    )]
    Address,
    /// There is no such port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// The guest's address was given, though it can't be chosen.
    #[error("leave out the guest's address, since there is one guest: ...-:GUESTPORT")]
    GuestAddress,
}

impl Forward {
    /// Checks whether the port is free.
    pub(super) fn check(&self) -> io::Result<()> {
        let address = SocketAddr::new(self.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.port);
        match self.protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
        }
    }
}

impl FromStr for Forward {
    type Err = ForwardError;

    /// Parses QEMU's form, `tcp:[ADDRESS]:PORT-:GUESTPORT`. The default protocol is TCP.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (protocol, rest) = text.split_once(':').ok_or(ForwardError::Form)?;
        let protocol = match protocol {
            "tcp" | "" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(ForwardError::Form),
        };
        let (host, guest) = rest.rsplit_once('-').ok_or(ForwardError::Form)?;
        let (address, port) = host.rsplit_once(':').ok_or(ForwardError::Form)?;
        let (guest_address, guest_port) = guest.rsplit_once(':').ok_or(ForwardError::Form)?;
        if !guest_address.is_empty() {
            return Err(ForwardError::GuestAddress);
        }
        let number = |text: &str| {
            let is_number = text.bytes().all(|c| c.is_ascii_digit());
            text.parse().ok().filter(|&port: &u16| is_number && port > 0).ok_or(ForwardError::Port)
        };
        let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
            Some(address) => Some(IpAddr::V6(address.parse().map_err(|_| ForwardError::Address)?)),
            None if address.is_empty() => None,
            None => Some(IpAddr::V4(address.parse().map_err(|_| ForwardError::Address)?)),
        };
        Ok(Self { protocol, address, port: number(port)?, guest_port: number(guest_port)? })
    }
}

impl fmt::Display for Forward {
    /// Writes the form that is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.protocol)?;
        match self.address {
            Some(IpAddr::V4(address)) => write!(f, "{address}")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            None => {}
        }
        write!(f, ":{}-:{}", self.port, self.guest_port)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[cfg(test)]
#[path = "forward_test.rs"]
mod tests;
