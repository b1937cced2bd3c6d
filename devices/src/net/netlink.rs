//! rtnetlink: requests for facts about the host's interfaces, and notifications of changes. linux/rtnetlink.h and linux/if_link.h.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use libc::{NLM_F_REQUEST, RTM_GETLINK, RTM_NEWLINK, RTMGRP_LINK};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        send, socket_with,
    },
};

/// `struct nlmsghdr`: the total length, a type, flags, a sequence number and the sender.
const HEADER: usize = 16;
/// `struct ifinfomsg`: a family, a type, an index, flags and a mask of flags.
const LINK: usize = 16;
#[expect(clippy::cast_possible_truncation, reason = "32")]
const REQUEST_LEN: u32 = (HEADER + LINK) as u32;
#[expect(clippy::cast_possible_truncation, reason = "1, in a field of 16 bits")]
const FLAGS: u16 = NLM_F_REQUEST as u16;
/// `struct rtattr`: the length including this header, and a type, whose upper two bits are flags.
const ATTRIBUTE: usize = 4;
const TYPE_MASK: u16 = 0x3fff;
/// The buffer size for the kernel's answers.
const ANSWER: usize = 32 << 10;

/// The attribute `IFLA_LINKINFO` of an `RTM_NEWLINK`, the `IFLA_INFO_DATA` in that, and the attributes of a tap in that.
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_TUN_NUM_QUEUES: u16 = 8;
const IFLA_TUN_NUM_DISABLED_QUEUES: u16 = 9;

/// Notifications that something about an interface in this process's network namespace has changed.
#[derive(Debug)]
pub(super) struct LinkNews(OwnedFd);

impl LinkNews {
    /// Begins to listen.
    pub(super) fn new() -> io::Result<Self> {
        let socket = open(SocketFlags::NONBLOCK)?;
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK.cast_unsigned()))?;
        Ok(Self(socket))
    }

    /// Takes all notifications that have come, so that the descriptor is readable only with the next one.
    pub(super) fn take(&self) {
        // Notifications that don't fit into the socket are lost. That is an error, and counts as a notification.
        while !matches!(recv(&self.0, &mut [0; 64][..], RecvFlags::TRUNC), Err(Errno::AGAIN)) {}
    }
}

impl AsFd for LinkNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns how many queues of the tap with this index programs have open. `None` if it has only one, or if the kernel doesn't tell (before
/// Linux 4.16).
pub(super) fn open_queues(index: u32) -> io::Result<Option<u32>> {
    let socket = open(SocketFlags::empty())?;
    let mut request = [0; HEADER + LINK];
    request[..4].copy_from_slice(&REQUEST_LEN.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&FLAGS.to_ne_bytes());
    request[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER];
    let (_, len) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    Ok(queues_in(&answer[..len.min(ANSWER)]))
}

/// The number of queues in an answer.
fn queues_in(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind != RTM_NEWLINK {
        return None;
    }
    let data = find(find(answer.get(HEADER + LINK..)?, IFLA_LINKINFO)?, IFLA_INFO_DATA)?;
    let number = |kind| Some(u32::from_ne_bytes(find(data, kind)?.try_into().ok()?));
    Some(number(IFLA_TUN_NUM_QUEUES)? + number(IFLA_TUN_NUM_DISABLED_QUEUES)?)
}

/// The value of the first attribute of this type.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, _) = attributes.split_first_chunk::<ATTRIBUTE>()?;
        let [a, b, c, d] = *head;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        if u16::from_ne_bytes([c, d]) & TYPE_MASK == wanted {
            return attributes.get(ATTRIBUTE..len);
        }
        attributes = attributes.get(len.max(ATTRIBUTE).next_multiple_of(4)..)?;
    }
}

fn open(flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // Without a protocol it is NETLINK_ROUTE, which is 0.
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?)
}

#[cfg(test)]
#[path = "netlink_test.rs"]
mod tests;
