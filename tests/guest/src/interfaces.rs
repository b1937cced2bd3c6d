//! Network interfaces: the ioctls that create and configure them.
#![expect(unsafe_code, reason = "the ioctls of network interfaces")]

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;

use anyhow::Context;
use rustix::ioctl::{Opcode, Setter, ioctl};

/// `SIOCSIFADDR`, `SIOCSIFNETMASK`, `SIOCSIFFLAGS` and `SIOCBRADDBR`.
const SET_ADDRESS: Opcode = 0x8916;
const SET_MASK: Opcode = 0x891c;
const SET_FLAGS: Opcode = 0x8914;
const ADD_BRIDGE: Opcode = 0x89a0;

/// `struct ifreq`, with an address or flags.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// Gives an interface an address in a /24 network, and brings it up.
pub(crate) fn configure(interface: &str, address: Ipv4Addr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // `struct sockaddr_in`: the family, no port, and the address.
    let address_value = |address: Ipv4Addr| {
        let mut value = [0; 24];
        value[..2].copy_from_slice(&2_u16.to_ne_bytes());
        value[4..8].copy_from_slice(&address.octets());
        value
    };
    let mut flags = [0; 24];
    flags[..2].copy_from_slice(&1_u16.to_ne_bytes());
    set::<SET_ADDRESS>(&socket, interface, address_value(address)).context("setting the address")?;
    set::<SET_MASK>(&socket, interface, address_value(Ipv4Addr::new(255, 255, 255, 0)))
        .context("setting the mask")?;
    set::<SET_FLAGS>(&socket, interface, flags).context("bringing it up")
}

/// Creates a bridge with an address, and brings it up.
pub(crate) fn add_bridge(name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    set::<ADD_BRIDGE>(&socket, name, [0; 24]).context("making it")?;
    configure(name, address)
}

fn set<const WHAT: Opcode>(socket: impl AsFd, interface: &str, value: [u8; 24]) -> io::Result<()> {
    let mut name = [0; 16];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    // SAFETY: these take a pointer to a `struct ifreq`, or to the name at its start, and only read it.
    let request = unsafe { Setter::<WHAT, _>::new(Request { name, value }) };
    // SAFETY: as above.
    unsafe { ioctl(socket, request) }.map_err(io::Error::from)
}
