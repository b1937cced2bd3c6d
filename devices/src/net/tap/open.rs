//! Opens taps: by name, or by inherited descriptors.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
};

use libc::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN_EXCL, IFF_VNET_HDR, c_int};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl, makedev},
    io::Errno,
};

use super::{DescriptorError, Tap, TapError, flags, set_header};
use crate::net::{
    InterfaceName,
    interface::Interface,
    ioctl::{self, Call},
    netlink,
};

const TUN: &str = "/dev/net/tun";
/// The device number of [`TUN`]: linux/miscdevice.h.
const TUN_DEVICE: (u32, u32) = (10, 200);

/// The kind of tap: each read and write is a header and a frame.
const KIND: c_int = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

impl Tap {
    /// Opens the tap or macvtap `name`, or makes a tap if there is none; the kernel replaces `%d` in the name by a number. It has a queue
    /// for each of `queues` ports. It is brought up if this user may do that. With `mtu`, its MTU is set.
    ///
    /// # Errors
    ///
    /// The name or the MTU is unusable, permission is missing, another program has it open, or it has another number of queues.
    pub fn open(name: &str, queues: u16, mtu: Option<u16>) -> Result<Self, TapError> {
        let parsed: InterfaceName = name.parse().map_err(|error| TapError::Name(name.to_string(), error))?;
        let opened = Opened::new(parsed, queues.max(1))?;
        let refused = |error| TapError::Refused(opened.name, error);
        let interface = Interface::new(opened.name).map_err(refused)?;
        let mtu = set_mtu(&interface, opened.name, mtu)?;
        bring_up(&interface, &opened);
        Self::new(format!("{} {}", opened.kind, opened.name), opened.name, opened.queues, mtu)
    }

    /// Takes over the open taps with these `numbers`, which nvmm's parent left open for it: a queue each. The interface is not changed.
    ///
    /// # Errors
    ///
    /// One of them is no tap, or is attached in an unsuitable way.
    pub fn inherited(numbers: &[RawFd]) -> Result<Self, TapError> {
        let take = |&number: &RawFd| {
            let not_passed = |_| TapError::Descriptor(number, DescriptorError::NotPassed);
            if number <= 2 {
                return Err(TapError::Descriptor(number, DescriptorError::NotTap));
            }
            ioctl::inherited(number).map_err(not_passed)
        };
        Self::from_descriptors(numbers.iter().map(take).collect::<Result<_, _>>()?)
    }

    /// Takes over open taps: a queue each. The interface is not changed.
    ///
    /// # Errors
    ///
    /// One of them is no tap, or is attached in an unsuitable way.
    ///
    /// # Panics
    ///
    /// `descriptors` is empty.
    pub fn from_descriptors(descriptors: Vec<OwnedFd>) -> Result<Self, TapError> {
        let queues: Vec<File> = descriptors.into_iter().map(File::from).collect();
        let mut first = None;
        let several = queues.len() > 1;
        for queue in &queues {
            let name = check(queue, several)?;
            let first = *first.get_or_insert(name);
            if name != first {
                let other = DescriptorError::OtherTap(name, first);
                return Err(TapError::Descriptor(queue.as_raw_fd(), other));
            }
            prepare(queue).map_err(|error| TapError::Refused(name, error))?;
        }
        let name = first.expect("there is a descriptor");
        let numbers: Vec<_> = queues.iter().map(|queue| queue.as_raw_fd().to_string()).collect();
        Self::new(format!("tap {name} by descriptor {}", numbers.join(":")), name, queues, None)
    }
}

/// Queues of an interface.
struct Opened {
    name: InterfaceName,
    kind: &'static str,
    is_new: bool,
    queues: Vec<File>,
}

impl Opened {
    fn new(name: InterfaceName, count: u16) -> Result<Self, TapError> {
        let mut queue = open_tun()?;
        let multi_queue = if count > 1 { IFF_MULTI_QUEUE } else { 0 };
        let (name, mut kind, is_new) = match attach(&queue, name, KIND | multi_queue | IFF_TUN_EXCL) {
            Ok(name) => (name, KIND | multi_queue, true),
            Err(Errno::BUSY) if !name.is_pattern() => {
                let interface = Interface::new(name).map_err(|error| TapError::Refused(name, error))?;
                if !interface.is_tap() {
                    return Self::macvtap(name, &interface, count);
                }
                // The kernel lets several programs share the queues of one tap, each of which gets some of the frames. Only a tap that is
                // up has a carrier.
                let is_shared = || netlink::open_queues(interface.index()?).map(|queues| queues > Some(0));
                if interface.has_carrier().unwrap_or(false) || is_shared().unwrap_or(false) {
                    return Err(TapError::Busy(name));
                }
                (name, KIND | multi_queue, false)
            }
            Err(Errno::PERM) => return Err(TapError::NotPermitted { name, queues: count }),
            Err(error) => return Err(TapError::Refused(name, error.into())),
        };
        let refused = |error| match error {
            Errno::PERM => TapError::NotYours { name, queues: count },
            Errno::BUSY => TapError::Busy(name),
            Errno::INVAL => TapError::OneQueue(name),
            error => TapError::Refused(name, error.into()),
        };
        if !is_new {
            match attach(&queue, name, kind) {
                // One queue, but the tap can have several.
                Err(Errno::INVAL) if count == 1 => {
                    queue = open_tun()?;
                    kind |= IFF_MULTI_QUEUE;
                    attach(&queue, name, kind)
                }
                attached => attached,
            }
            .map_err(refused)?;
        }
        let mut queues = vec![queue];
        for _ in 1..count {
            let queue = open_tun()?;
            attach(&queue, name, kind).map_err(refused)?;
            queues.push(queue);
        }
        for queue in &queues {
            set_header(queue).map_err(|error| TapError::Refused(name, error))?;
        }
        Ok(Self { name, kind: "tap", is_new, queues })
    }

    /// Opens the queues of a macvtap, each by its device node.
    fn macvtap(name: InterfaceName, interface: &Interface, count: u16) -> Result<Self, TapError> {
        if !interface.is_macvtap() {
            return Err(TapError::NotTap(name));
        }
        let path = format!("/dev/tap{}", interface.index().map_err(|error| TapError::Refused(name, error))?);
        let open = || {
            let queue = open_device(&path)?;
            // Another network namespace may have a macvtap with this number.
            if check(&queue, false).ok() != Some(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            prepare(&queue)?;
            Ok(queue)
        };
        let queues = (0..count).map(|_| open()).collect::<io::Result<_>>();
        let queues = queues.map_err(|source| TapError::Macvtap { name, path, source })?;
        Ok(Self { name, kind: "macvtap", is_new: false, queues })
    }
}

fn open_device(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn open_tun() -> Result<File, TapError> {
    open_device(TUN).map_err(|error| match error.raw_os_error() {
        // There is a node without a module, or no node.
        Some(libc::ENODEV | libc::ENXIO | libc::ENOENT) => TapError::NoDriver,
        _ => TapError::Driver(error),
    })
}

/// Attaches `queue` to the interface `name`, and returns the name, in which the kernel may have put a number.
fn attach(queue: &File, name: InterfaceName, kind: c_int) -> Result<InterfaceName, Errno> {
    let mut request = name.request(&flags(kind));
    ioctl::call(queue, Call::TunSetInterface, &mut request)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(request.name.into())
}

/// Returns the name of the interface that `queue` is attached to, if its frames have the right form, or can be given it.
fn check(queue: &File, several: bool) -> Result<InterfaceName, TapError> {
    let wrong = |error| TapError::Descriptor(queue.as_raw_fd(), error);
    let metadata = queue.metadata().map_err(|_| wrong(DescriptorError::NotPassed))?;
    if !metadata.file_type().is_char_device() {
        return Err(wrong(DescriptorError::NotTap));
    }
    let is_tun = metadata.rdev() == makedev(TUN_DEVICE.0, TUN_DEVICE.1);
    let mut request = InterfaceName::NONE.request(&[]);
    ioctl::call(queue, Call::TunGetInterface, &mut request)
        .map_err(|_| wrong(if is_tun { DescriptorError::NoInterface } else { DescriptorError::NotTap }))?;
    let [a, b, ..] = request.value;
    let has = |flag: c_int| u16::from_ne_bytes([a, b]) & u16::from_ne_bytes(flags(flag)) != 0;
    // A macvtap is possible, too.
    if is_tun {
        if !has(IFF_TAP) {
            return Err(wrong(DescriptorError::Tun));
        }
        // A tap without IFF_NO_PI looks the same as one with it.
        if !has(IFF_VNET_HDR) {
            return Err(wrong(DescriptorError::NoHeader));
        }
        if several && !has(IFF_MULTI_QUEUE) {
            return Err(wrong(DescriptorError::OneQueue));
        }
    } else {
        attach(queue, request.name.into(), KIND | IFF_MULTI_QUEUE)
            .map_err(|_| wrong(DescriptorError::NotTap))?;
    }
    Ok(request.name.into())
}

/// Prepares a queue, which may have been opened by another program.
fn prepare(queue: &File) -> io::Result<()> {
    fcntl_setfl(queue, fcntl_getfl(queue)? | OFlags::NONBLOCK)?;
    set_header(queue)
}

/// Sets the MTU if `mtu` is given. Returns the actual one.
fn set_mtu(interface: &Interface, name: InterfaceName, mtu: Option<u16>) -> Result<Option<u16>, TapError> {
    let now = interface.mtu().map_err(|error| TapError::Refused(name, error))?;
    let Some(mtu) = mtu.filter(|&mtu| u32::from(mtu) != now) else {
        return Ok(u16::try_from(now).ok());
    };
    let set = interface.set_mtu(mtu.into());
    set.map_err(|source| TapError::Mtu { name, mtu, now, source })?;
    Ok(Some(mtu))
}

/// Brings the interface up. If this user may not, an administrator can, even later.
fn bring_up(interface: &Interface, opened: &Opened) {
    if interface.is_up().unwrap_or(false) {
        return;
    }
    match interface.set_up() {
        Ok(()) if opened.is_new => {}
        Ok(()) => log::info!("the tap {0} was down; it is up now", opened.name),
        Err(error) => log::warn!(
            "the tap {0} is down, and no frame comes or goes ({error}); an administrator brings it up: ip link set dev {0} up",
            opened.name
        ),
    }
}
