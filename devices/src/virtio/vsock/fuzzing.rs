//! Fuzzes the actions of a guest and of programs on the host.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex, PoisonError},
};

use arch::memory::GuestRam;
use virtio_queue::desc::{RawDescriptor, split::Descriptor};
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{
    connections::Connections,
    host::Connect,
    packet::{HOST_CID, Header, STREAM},
};
use crate::virtio::queue::{
    Chain, Rings,
    fuzzing::{AVAIL, FREE, MEMORY, TABLE, memory, new_queue},
};

const CID: u32 = 3;
/// `VIRTQ_DESC_F_NEXT` and `VIRTQ_DESC_F_WRITE`.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// The port of the first of the host's programs.
const FIRST_PORT: u32 = 1 << 30;

/// A step: an action and its numbers.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Step {
    /// The operation of a packet from the guest; other actions from 0x80 on.
    what: u8,
    /// Bits 0 and 1: the guest's port; 2 and 3: the host's; 4 to 6: faults in a packet. In other actions: which program.
    which: u8,
    /// Flags of a packet, and the place where it is cut.
    flags: u8,
    cut: u8,
    /// The number of bytes after a packet's header, claimed and actual.
    len: U16,
    real_len: U16,
    buf_alloc: U16,
    fwd_cnt: U32,
}

/// The host's programs, which accept every connection to an even port.
#[derive(Debug, Default)]
struct Programs(Mutex<Vec<UnixStream>>);

/// Carries out the steps in `data`.
pub fn vsock(data: &[u8]) {
    let (programs, memory) = (Arc::new(Programs::default()), memory());
    let host = Arc::clone(&programs) as Arc<dyn Connect>;
    let mut connections = Connections::new(CID, host).expect("a descriptor");
    let mut rest = data;
    while let Ok((step, behind)) = Step::read_from_prefix(rest) {
        rest = behind;
        carry_out(&step, &mut connections, &programs, &memory);
        connections.on_events().expect("epoll");
        connections.check();
    }
    // The loop ends: programs have sent a finite number of bytes, and no more packets come from the guest.
    let room = u32::try_from(MEMORY).unwrap_or_default() - u32::try_from(FREE).unwrap_or_default();
    let mut given = 0;
    while give(&mut connections, &memory, room) {
        given += 1;
        assert!(given < 100_000, "there is no end");
    }
}

fn carry_out(step: &Step, connections: &mut Connections, programs: &Programs, memory: &GuestRam) {
    let mut programs = programs.0.lock().unwrap_or_else(PoisonError::into_inner);
    let count = programs.len().max(1);
    let which = usize::from(step.which) % count;
    match step.what {
        0..0x80 => {
            // A packet may connect to a program.
            drop(programs);
            transmit(step, connections, memory);
        }
        0x80 => {
            drop(programs);
            give(connections, memory, step.len.get().into());
        }
        0x81 => {
            let Ok((ours, mut theirs)) = pair() else { return };
            let line = format!("CONNECT {}\n", step.which & 3);
            let _ = theirs.write(&line.as_bytes()[usize::from(step.flags).min(line.len())..]);
            connections.welcome(ours);
            programs.push(theirs);
        }
        0x82 if which < programs.len() => drop(programs.swap_remove(which)),
        what => {
            let Some(program) = programs.get_mut(which) else { return };
            // A guest may have closed it.
            let _ = match what {
                0x83 => program.write(&vec![what; step.len.get().into()]),
                0x84 => program.read(&mut vec![0; step.len.get().into()]),
                0x85 => program.shutdown(Shutdown::Write).map(|()| 0),
                _ => program.shutdown(Shutdown::Read).map(|()| 0),
            };
        }
    }
}

/// Has the guest send a packet.
fn transmit(step: &Step, connections: &mut Connections, memory: &GuestRam) {
    let host = u32::from(step.which >> 2 & 3);
    let header = Header {
        src_cid: (u64::from(CID) + u64::from(step.which >> 4 & 1)).into(),
        dst_cid: (HOST_CID + u64::from(step.which >> 5 & 1)).into(),
        src_port: u32::from(step.which & 3).into(),
        dst_port: if host == 3 { FIRST_PORT.into() } else { host.into() },
        len: u32::from(step.len.get()).into(),
        socket_type: (STREAM + u16::from(step.which >> 6 & 1)).into(),
        op: u16::from(step.what).into(),
        flags: u32::from(step.flags).into(),
        buf_alloc: u32::from(step.buf_alloc.get()).into(),
        fwd_cnt: step.fwd_cnt,
    };
    memory.write_slice(header.as_bytes(), GuestAddress(FREE)).expect("it is memory");
    let most = MEMORY - usize::try_from(FREE).unwrap_or_default() - Header::LEN;
    let len = Header::LEN + usize::from(step.real_len.get()).min(most);
    let len = u32::try_from(len).unwrap_or_default();
    let cut = u32::from(step.cut).clamp(1, len - 1);
    let chain = [(FREE, cut, NEXT), (FREE + u64::from(cut), len - cut, 0)];
    with_chain(memory, &chain, |chain| connections.take(chain));
}

/// Sends a packet to the guest, if there is one.
fn give(connections: &mut Connections, memory: &GuestRam, room: u32) -> bool {
    let most = u32::try_from(MEMORY).unwrap_or_default() - u32::try_from(FREE).unwrap_or_default();
    let room = room.clamp(1, most);
    with_chain(memory, &[(FREE, room, WRITE)], |chain| {
        let Some(written) = connections.give(&chain) else { return false };
        assert!(written <= room, "{written} bytes in room for {room}");
        if written > 0 {
            let mut bytes = [0; Header::LEN];
            memory.read_slice(&mut bytes, GuestAddress(FREE)).expect("it is memory");
            let header: Header = zerocopy::transmute!(bytes);
            assert_eq!(header.len.get() as usize + Header::LEN, written as usize, "{header:?}");
            assert!(header.operation().is_some() && header.dst_cid.get() == u64::from(CID), "{header:?}");
        }
        written > 0
    })
}

/// Calls `call` with a chain of buffers, each `(address, len, flags)`.
fn with_chain<T>(memory: &GuestRam, buffers: &[(u64, u32, u16)], call: impl FnOnce(Chain<'_>) -> T) -> T {
    for (index, &(address, len, flags)) in (0..).zip(buffers) {
        let descriptor = RawDescriptor::from(Descriptor::new(address, len, flags, index + 1));
        let place = GuestAddress(TABLE + 16 * u64::from(index));
        memory.write_obj(descriptor, place).expect("it is memory");
    }
    // Flags, index, and the first entry.
    memory.write_obj([0_u16, 1, 0], GuestAddress(AVAIL)).expect("it is memory");
    let mut rings = Rings::new(new_queue(32), memory).expect("the rings are in memory");
    call(rings.pop().expect("it is whole").expect("there is one"))
}

impl Connect for Programs {
    fn connect(&self, port: u32) -> io::Result<OwnedFd> {
        if !port.is_multiple_of(2) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (ours, theirs) = pair()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(theirs);
        Ok(ours)
    }
}

/// A program's connection, whose ends never block.
fn pair() -> io::Result<(OwnedFd, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours.into(), theirs))
}

#[cfg(test)]
#[path = "fuzzing_test.rs"]
mod tests;
