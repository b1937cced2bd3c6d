//! Reasons why there is no tap, with what to do about it.

use std::{io, os::fd::RawFd};

use thiserror::Error;

use crate::net::interface::{InterfaceName, InterfaceNameError};

/// The reason why a tap can't be had.
#[derive(Debug, Error)]
pub enum TapError {
    /// The text is no name.
    #[error("{0:?} names no interface")]
    Name(String, #[source] InterfaceNameError),
    /// The kernel has no taps.
    #[error("the host has no /dev/net/tun; load its module: modprobe tun")]
    NoDriver,
    /// The kernel gives no tap.
    #[error("/dev/net/tun")]
    Driver(#[source] io::Error),
    /// nvmm may not make taps.
    #[error("no permission to make the tap {name}; {}", by_administrator(.name.as_str(), *.queues, None))]
    NotPermitted {
        /// The tap.
        name: InterfaceName,
        /// Its queues.
        queues: u16,
    },
    /// It belongs to somebody else.
    #[error("the tap {name} is another user's; {}", by_administrator(.name.as_str(), *.queues, None))]
    NotYours {
        /// The tap.
        name: InterfaceName,
        /// Its queues.
        queues: u16,
    },
    /// Another program uses the tap.
    #[error("another program has the tap {0} open")]
    Busy(InterfaceName),
    /// The interface is no tap.
    #[error("the interface {0} is no tap; give a name that is free, or a tap's")]
    NotTap(InterfaceName),
    /// It was made for one queue.
    #[error(
        "the tap {0} has one queue; leave queues= out, or make it with: ip tuntap add dev {0} mode tap multi_queue"
    )]
    OneQueue(InterfaceName),
    /// A macvtap has no device node.
    #[error("the macvtap {name} can't be opened by {path}")]
    Macvtap {
        /// The macvtap.
        name: InterfaceName,
        /// Its node.
        path: String,
        /// The host's error.
        source: io::Error,
    },
    /// It can't have this MTU.
    #[error("the tap {name} can't have an MTU of {mtu}; it has {now}")]
    Mtu {
        /// The tap.
        name: InterfaceName,
        /// The MTU that was asked for.
        mtu: u16,
        /// The MTU that it has.
        now: u32,
        /// The host's error.
        source: io::Error,
    },
    /// The kernel refuses something else.
    #[error("the tap {0}")]
    Refused(InterfaceName, #[source] io::Error),
    /// A descriptor was given that won't do.
    #[error("descriptor {0} {1}")]
    Descriptor(RawFd, DescriptorError),
}

/// The reason why a descriptor won't do as a tap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// It was not passed.
    #[error("is none that nvmm was started with")]
    NotPassed,
    /// The descriptor is of another kind of file.
    #[error("is neither a tap nor a macvtap")]
    NotTap,
    /// The descriptor has no interface yet.
    #[error(
        "has /dev/net/tun open, but has no interface: whoever opens it calls TUNSETIFF, with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR"
    )]
    NoInterface,
    /// The interface is a tun.
    #[error("is a tun, which has packets and no frames; a tap is needed (IFF_TAP)")]
    Tun,
    /// Its frames have no header.
    #[error(
        "is a tap without a header; whoever opens it has to call TUNSETIFF with IFF_VNET_HDR and IFF_NO_PI"
    )]
    NoHeader,
    /// The tap has one queue only.
    #[error("is a tap of one queue; for several, whoever opens it calls TUNSETIFF with IFF_MULTI_QUEUE")]
    OneQueue,
    /// It belongs to another tap than the first one.
    #[error("is of {0}, and the first of {1}: all have to be queues of one tap")]
    OtherTap(InterfaceName, InterfaceName),
}

/// Commands for an administrator, who makes the tap for this user, on a bridge or for any.
pub(in crate::net) fn by_administrator(name: &str, queues: u16, bridge: Option<InterfaceName>) -> String {
    let user = rustix::process::geteuid().as_raw();
    // A pattern takes the kernel's number. A tap that is made before has its own.
    let name = name.replacen("%d", "0", 1);
    let multi_queue = if queues > 1 { " multi_queue" } else { "" };
    let master = bridge.map(|bridge| format!("master {bridge} ")).unwrap_or_default();
    format!(
        "run nvmm with CAP_NET_ADMIN, or have an administrator make a tap: ip tuntap add dev {name} mode tap user \
         {user}{multi_queue} && ip link set dev {name} {master}up; then give tap={name}"
    )
}
