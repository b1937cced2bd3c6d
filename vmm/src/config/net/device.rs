//! A network device as it was asked for.

use std::{fmt, os::fd::RawFd, path::PathBuf};

use devices::{
    net::{Forward, InterfaceName, MacAddress},
    printable::ToPrintable,
};
use uuid::Uuid;

/// The options of a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// The number among the machine's network devices, from 0 on.
    pub number: usize,
    /// The name in messages and on the control socket: its id, or `net` and its number.
    pub name: String,
    /// The host's side of it.
    pub host: NetHost,
    /// The MAC address.
    pub mac: NetMac,
    /// The MTU for the guest.
    pub mtu: Option<u16>,
    /// The number of its queue pairs.
    pub queues: u16,
    /// Set if the kernel's vhost-net moves the frames.
    pub vhost: Vhost,
    /// Offer checksum and segmentation offloads.
    pub offload: bool,
    /// Drivers from before virtio 1.0 can use it as well.
    pub legacy: bool,
}

/// The host's side of a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetHost {
    /// A tap with this name, which is made if it doesn't exist; without a name, a new one.
    Tap(Option<InterfaceName>),
    /// Open taps, one for each pair of queues.
    Descriptors(Vec<RawFd>),
    /// A new tap that joins a bridge.
    Bridge {
        /// The bridge.
        name: InterfaceName,
        /// QEMU's program that makes the tap if this user has no permission; by default the installed one.
        helper: Option<PathBuf>,
    },
    /// passt, which needs no privileges, with these ports of the host forwarded to the guest.
    User(Vec<Forward>),
}

/// The mover of frames between a network device and its tap: the kernel, or nvmm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vhost {
    /// vhost-net if it can be used, else nvmm.
    #[default]
    Auto,
    /// vhost-net; without it, nvmm refuses to start.
    On,
    /// nvmm itself.
    Off,
}

/// The origin of a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetMac {
    /// The user gave it.
    Given(MacAddress),
    /// The address is derived from the machine's UUID.
    Uuid(MacAddress),
    /// The address is derived from a disk that no other machine uses at the same time. Without such a disk, nothing distinguishes this machine from
    /// another one with the same command line, and the address is random.
    Disk,
}

impl NetConfig {
    /// The permanent address in the machine with the identity `machine`.
    pub(crate) fn address_in(&self, machine: &Uuid) -> MacAddress {
        NetMac::in_machine(machine, self.number)
    }
}

impl NetMac {
    /// The address of the network device with this number in `machine`: RFC 9562, "UUID Version 5".
    pub(super) fn in_machine(machine: &Uuid, number: usize) -> MacAddress {
        let (_, seed) = Uuid::new_v5(machine, format!("net{number}").as_bytes()).as_u64_pair();
        MacAddress::local(seed)
    }
}

/// Writes nvmm's words for it.
impl fmt::Display for NetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(None) => f.write_str("tap"),
            Self::Tap(Some(name)) => write!(f, "tap={name}"),
            Self::Descriptors(fds) => {
                let fds: Vec<_> = fds.iter().map(ToString::to_string).collect();
                write!(f, "tap,fds={}", fds.join(":"))
            }
            Self::Bridge { name, helper } => {
                write!(f, "bridge={name}")?;
                helper.iter().try_for_each(|path| write!(f, ",helper={}", path.printable()))
            }
            Self::User(forwards) => {
                f.write_str("user")?;
                forwards.iter().try_for_each(|forward| write!(f, ",hostfwd={forward}"))
            }
        }
    }
}
