//! Fuzzes commands and frames, in chains of any shape.

use std::{
    io,
    os::fd::RawFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use vm_memory::VolatileSlice;

use super::{
    Lasting, NetOptions,
    control::Control,
    features::{self, CTRL_VQ, MQ},
    filter::Table,
    receive::{MOST_PIECES, SHORTEST},
    state::{Settings, State},
    transmit::Transmit,
};
use crate::{
    net::{HEADER_LEN, LONGEST, MacAddress, Network, Offloads, Port},
    virtio::queue::{
        Rings,
        fuzzing::{QUEUE_SIZE, bytes, everything, lay_out, memory, new_queue},
    },
    worker::Stop,
};

const PAIRS: u16 = 4;

/// Commands to a device. Seven bits of the first byte leave out features each; with the last bit, the host refuses.
pub fn net_control(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let options = NetOptions { pairs: PAIRS, ..NetOptions::new(MacAddress::local(1)) };
    let host = Arc::new(FuzzHost { refuses: setup & 1 << 7 != 0, ..FuzzHost::default() });
    let offered = features::offered(&*host, &options);
    let bits: Vec<u64> = (0..64).map(|bit| 1 << bit).filter(|bit| offered & bit != 0).collect();
    let left_out = (0..).zip(&bits).filter(|(n, _)| setup & 1 << (n % 7) != 0);
    let agreed = left_out.fold(offered, |agreed, (_, bit)| agreed & !bit) | CTRL_VQ;
    let settings = Arc::new(Settings::new(State::new(&options)));
    let device = Control::new(host, Arc::clone(&settings), agreed, PAIRS, Vec::new());

    let memory = memory();
    lay_out(&memory, data);
    let mut rings = Rings::new(new_queue(QUEUE_SIZE), &memory).expect("the rings are in memory");
    while let Ok(Some(chain)) = rings.pop() {
        let before = everything(&memory);
        let ack = chain.writable.range(0, 1).next();
        let ack_before = ack.as_ref().map(bytes);
        assert_eq!(device.answer(&chain).is_ok(), ack.is_some());
        let (Some(ack), Some(ack_before)) = (ack, ack_before) else { break };
        let answer = bytes(&ack);
        assert!(matches!(answer[..], [0 | 1]), "{answer:?}");
        ack.copy_from(&ack_before);
        assert!(everything(&memory) == before, "the answer is a byte");
        ack.copy_from(&answer);
        check(&settings.get().0, agreed, &options);
        if rings.push(chain.head, 1).is_err() {
            break;
        }
    }
}

fn check(state: &State, agreed: u64, options: &NetOptions) {
    let State { mac, filter, pairs, guest_offloads, announce } = state;
    assert!(!MacAddress(*mac).is_multicast() && *mac != [0; 6]);
    assert!(filter.unicast.len() + filter.multicast.len() <= Table::ENTRIES);
    assert!((1..=PAIRS).contains(pairs) && (agreed & MQ != 0 || *pairs == State::new(options).pairs));
    assert_eq!(guest_offloads & !features::guest_offload_bits(agreed), 0);
    assert!(!announce);
}

/// Frames from the guest. The first byte chooses how the host accepts them.
pub fn net_transmit(data: &[u8]) {
    let Some((&answers, data)) = data.split_first() else { return };
    let host = Arc::new(FuzzHost { answers, ..FuzzHost::default() });
    let lasting = Lasting::from(NetOptions::new(MacAddress::local(1)));
    let transmit = Transmit::new(0, Arc::clone(&host) as _, lasting.clone(), HEADER_LEN);
    lasting.set_link(answers & 1 == 0);

    let memory = memory();
    lay_out(&memory, data);
    let before = everything(&memory);
    let mut rings = Rings::new(new_queue(QUEUE_SIZE), &memory).expect("the rings are in memory");
    // Each is sent once, or dropped.
    let mut taken = 0_u64;
    while let Ok(Some(chain)) = rings.pop() {
        let len = chain.readable.len();
        let sends = host.sends.load(Ordering::Relaxed);
        if !transmit.send(&*host, &chain.readable, &Stop::default()) {
            rings.put_back();
            continue;
        }
        taken += 1;
        let sent = host.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if host.sends.load(Ordering::Relaxed) > sends {
            assert!((HEADER_LEN + SHORTEST..=LONGEST).contains(&len), "{len} bytes");
            let frame = chain.readable.as_slice().iter().flat_map(bytes).collect();
            assert!(sent == Some(frame), "it is another frame");
        }
        assert!(everything(&memory) == before, "it is only to be read");
    }
    let total = lasting.counters.total().sent;
    assert_eq!(total.frames + total.dropped(), taken);
}

/// A host's side with one port, which is this type too.
#[derive(Debug, Default)]
struct FuzzHost {
    refuses: bool,
    /// The answers to sends: two bits each, repeated.
    answers: u8,
    sends: AtomicUsize,
    /// The frame that was sent or refused last.
    last: Mutex<Option<Vec<u8>>>,
}

impl FuzzHost {
    fn refuse(&self) -> io::Result<()> {
        if self.refuses { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl Network for FuzzHost {
    fn name(&self) -> String {
        "fuzz".to_owned()
    }

    fn most_ports(&self) -> u16 {
        PAIRS
    }

    fn use_ports(&self, ports: u16) -> io::Result<()> {
        assert!((1..=PAIRS).contains(&ports), "{ports} ports");
        self.refuse()
    }

    fn port(&self, _: u16) -> &dyn Port {
        self
    }

    fn set_header_len(&self, _len: usize) -> io::Result<()> {
        self.refuse()
    }

    fn takes(&self) -> Offloads {
        Offloads::all()
    }

    fn gives(&self) -> Offloads {
        Offloads::all()
    }

    fn give(&self, offloads: Offloads) -> io::Result<()> {
        assert_eq!(offloads, offloads.usable());
        self.refuse()
    }
}

impl Port for FuzzHost {
    fn descriptor(&self) -> RawFd {
        -1
    }

    fn receive(&self, _: &[VolatileSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        assert!((1..=MOST_PIECES).contains(&buffers.len()), "{} pieces", buffers.len());
        let send = self.sends.fetch_add(1, Ordering::Relaxed);
        let frame = buffers.iter().flat_map(bytes).collect();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
        match self.answers >> (2 * (send % 4)) & 3 {
            // Not always, so that each frame is sent in the end.
            1 if send.is_multiple_of(3) => Err(io::ErrorKind::WouldBlock.into()),
            2 => Err(io::ErrorKind::InvalidInput.into()),
            3 => Err(io::ErrorKind::NotConnected.into()),
            _ => Ok(()),
        }
    }
}
