//! virtio 1.3, "Socket Device", "Device Operation": packets, each with a header and sometimes data.
//!
//! The crate virtio-vsock also has them, but only in virtio-queue's chains.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use crate::virtio::queue::Chain;

/// `VMADDR_CID_HOST`: the address of the host.
pub(super) const HOST_CID: u64 = 2;
/// `VIRTIO_VSOCK_TYPE_STREAM`.
pub(super) const STREAM: u16 = 1;

/// `struct virtio_vsock_hdr`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(super) struct Header {
    pub(super) src_cid: U64,
    pub(super) dst_cid: U64,
    pub(super) src_port: U32,
    pub(super) dst_port: U32,
    /// The number of bytes after the header.
    pub(super) len: U32,
    pub(super) socket_type: U16,
    pub(super) op: U16,
    pub(super) flags: U32,
    /// The number of bytes that the sender has room for.
    pub(super) buf_alloc: U32,
    /// The number of bytes that the sender has taken from there since the connection began.
    pub(super) fwd_cnt: U32,
}

/// A packet's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Operation {
    Request = 1,
    Response = 2,
    Rst = 3,
    Shutdown = 4,
    Rw = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
}

bitflags::bitflags! {
    /// The flags of [`Operation::Shutdown`]: what a side has ended.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Shutdown: u32 {
        const RECEIVE = 1 << 0;
        const SEND = 1 << 1;
    }
}

/// The ports of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports {
    pub(super) guest: u32,
    pub(super) host: u32,
}

impl Header {
    /// The length of a header.
    pub(super) const LEN: usize = size_of::<Self>();

    /// Makes a packet of a stream to the guest.
    pub(super) fn to_guest(cid: u32, ports: Ports, op: Operation) -> Self {
        Self {
            src_cid: HOST_CID.into(),
            dst_cid: u64::from(cid).into(),
            src_port: ports.host.into(),
            dst_port: ports.guest.into(),
            socket_type: STREAM.into(),
            op: (op as u16).into(),
            ..Self::default()
        }
    }

    /// Makes the answer that there is no such connection.
    pub(super) fn rst(&self) -> Self {
        Self {
            src_cid: self.dst_cid,
            dst_cid: self.src_cid,
            src_port: self.dst_port,
            dst_port: self.src_port,
            socket_type: self.socket_type,
            op: (Operation::Rst as u16).into(),
            ..Self::default()
        }
    }

    /// The ports of the connection to which a packet from the guest belongs.
    pub(super) fn ports(&self) -> Ports {
        Ports { guest: self.src_port.get(), host: self.dst_port.get() }
    }

    /// Writes the header into a chain that has room for it, and returns the packet's length.
    pub(super) fn put(&self, chain: &Chain<'_>) -> u32 {
        chain.writable.write(self.as_bytes());
        // A constant that fits.
        u32::try_from(Self::LEN).unwrap_or_default() + self.len.get()
    }

    /// The packet's purpose, if it is a known one.
    pub(super) fn operation(&self) -> Option<Operation> {
        use Operation::{CreditRequest, CreditUpdate, Request, Response, Rst, Rw, Shutdown};
        let all = [Request, Response, Rst, Shutdown, Rw, CreditUpdate, CreditRequest];
        all.into_iter().find(|op| *op as u16 == self.op.get())
    }
}

#[cfg(test)]
#[path = "packet_test.rs"]
mod tests;
