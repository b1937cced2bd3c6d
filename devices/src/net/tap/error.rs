//! Reasons why there is no tap, with what to do about it.

use std::{io, os::fd::RawFd};

use thiserror::Error;

use crate::net::interface::{InterfaceName, InterfaceNameError};

/// Reasons why a tap can't be used.
#[derive(Debug, Error)]
pub enum TapError {
    /// The text can't be a name.
    #[error("{0:?} names no interface")]
    Name(String, #[source] InterfaceNameError),
    /// The kernel does not support taps.
    #[error("the host has no /dev/net/tun; load its module: modprobe tun")]
    NoDriver,
    /// The kernel refuses to make a tap.
    #[error("/dev/net/tun")]
    Driver(#[source] io::Error),
    /// nvmm lacks the permission to make taps.
    #[error("no permission to make the tap {name}; {}", by_administrator(.name.as_str(), *.queues, None))]
    NotPermitted {
        /// The tap.
        name: InterfaceName,
        /// The number of its queues.
        queues: u16,
    },
    /// The tap belongs to another user.
    #[error("the tap {name} is another user's; {}", by_administrator(.name.as_str(), *.queues, None))]
    NotYours {
        /// The tap.
        name: InterfaceName,
        /// The number of its queues.
        queues: u16,
    },
    /// Another program uses the tap.
    #[error("another program has the tap {0} open")]
    Busy(InterfaceName),
    /// The interface is no tap.
    #[error("the interface {0} is no tap; give a name that is free, or a tap's")]
    NotTap(InterfaceName),
    /// The tap was made for one queue.
    #[error(
        "the tap {0} has one queue; leave queues= out, or make it with: ip tuntap add dev {0} mode tap multi_queue"
    )]
    OneQueue(InterfaceName),
    /// A macvtap's device node can't be opened.
    #[error("the macvtap {name} can't be opened by {path}")]
    Macvtap {
        /// The macvtap.
        name: InterfaceName,
        /// The device node.
        path: String,
        /// The host's error.
        source: io::Error,
    },
    /// The tap can't have this MTU.
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
    /// The kernel refuses another step.
    #[error("the tap {0}")]
    Refused(InterfaceName, #[source] io::Error),
    /// A given descriptor can't be used.
    #[error("descriptor {0} {1}")]
    Descriptor(RawFd, DescriptorError),
}

/// Reasons why a descriptor can't be used as a tap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// nvmm was not started with this descriptor.
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
    /// The frames have no header.
    #[error(
        "is a tap without a header; whoever opens it has to call TUNSETIFF with IFF_VNET_HDR and IFF_NO_PI"
    )]
    NoHeader,
    /// The tap has only one queue.
    #[error("is a tap of one queue; for several, whoever opens it calls TUNSETIFF with IFF_MULTI_QUEUE")]
    OneQueue,
    /// The descriptor belongs to another tap than the first one.
    #[error("is of {0}, and the first of {1}: all have to be queues of one tap")]
    OtherTap(InterfaceName, InterfaceName),
}

/// The commands with which an administrator makes the tap for this user, connected to a bridge or not.
pub(in crate::net) fn by_administrator(name: &str, queues: u16, bridge: Option<InterfaceName>) -> String {
    let user = rustix::process::geteuid().as_raw();
    // The kernel replaces a pattern by a number. A tap that is made beforehand needs a name.
    let name = name.replacen("%d", "0", 1);
    let multi_queue = if queues > 1 { " multi_queue" } else { "" };
    let master = bridge.map(|bridge| format!("master {bridge} ")).unwrap_or_default();
    format!(
        "run nvmm with CAP_NET_ADMIN, or have an administrator make a tap: ip tuntap add dev {name} mode tap user \
         {user}{multi_queue} && ip link set dev {name} {master}up; then give tap={name}"
    )
}
