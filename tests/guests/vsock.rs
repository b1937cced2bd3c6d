//! Connects to port 52 of the host by virtio-vsock and sends a greeting, and echoes its input on port 7, until the host ends the first
//! connection.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci;
use virtio::{Device, QUEUE_SIZE, WRITE, descriptor};

const SLOT: u8 = 1;
/// virtio 1.3, "PCI Device Discovery": a socket device.
const VSOCK: u32 = 0x1053_1af4;

/// The receive buffers, each of this length, and the send buffer.
const BUFFERS: u64 = 0x20_0000;
const BUFFER_LEN: u32 = 4096;
const PACKET: u64 = 0x21_0000;

/// virtio 1.3, "Socket Device", "Device Operation": the header's fields.
const HEADER_LEN: u32 = 44;
const DST_CID: u64 = 8;
const SRC_PORT: u64 = 16;
const DST_PORT: u64 = 20;
const LEN: u64 = 24;
const OP: u64 = 30;
const FLAGS: u64 = 32;
const STREAM: u16 = 1;
const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RST: u16 = 3;
const SHUTDOWN: u16 = 4;
const RW: u16 = 5;

const CLIENT: u32 = 1000;
const ECHO: u32 = 7;
const HELLO: [u8; 5] = *b"hello";

struct Sockets {
    queues: [Device; 2],
    cid: u64,
    sent: u16,
    received: u16,
}

impl Sockets {
    /// Sends a packet, whose data, if any, is already in place.
    fn send(&mut self, port: u32, peer: u32, op: u16, len: u32) {
        rt::write(PACKET, self.cid);
        rt::write(PACKET + DST_CID, 2_u64);
        rt::write(PACKET + SRC_PORT, port);
        rt::write(PACKET + DST_PORT, peer);
        rt::write(PACKET + LEN, len);
        rt::write(PACKET + LEN + 4, STREAM);
        rt::write(PACKET + OP, op);
        rt::write(PACKET + FLAGS, 0_u32);
        rt::write(PACKET + FLAGS + 4, 1_u32 << 20);
        rt::write(PACKET + FLAGS + 8, 0_u32);
        self.queues[1].push(descriptor(PACKET, HEADER_LEN + len, 0, 0), self.sent + 1);
        self.queues[1].next_used(self.sent);
        self.sent += 1;
    }

    /// Gives the device a receive buffer.
    fn post(&self, number: u16) {
        let address = BUFFERS + u64::from(number % QUEUE_SIZE) * u64::from(BUFFER_LEN);
        self.queues[0].push(descriptor(address, BUFFER_LEN, WRITE, 0), number + 1);
    }

    /// The address of the next packet.
    fn receive(&mut self) -> u64 {
        let (head, _) = self.queues[0].next_used(self.received);
        self.received += 1;
        BUFFERS + u64::from(head) * u64::from(BUFFER_LEN)
    }
}

extern "C" fn guest_main() -> u32 {
    if rt::read::<u32>(pci::config(SLOT, 0)) != VSOCK {
        print!("none\n");
        return 0;
    }
    let cid = rt::read(virtio::structure(SLOT, 4));
    print!("cid ", cid, "\n");
    let queues = [0, 1].map(|queue| Device::find_queue(SLOT, queue));
    queues[0].begin(0);
    queues.iter().for_each(|queue| queue.enable(QUEUE_SIZE));
    queues[0].end();
    let mut sockets = Sockets { queues, cid, sent: 0, received: 0 };
    (0..QUEUE_SIZE).for_each(|number| sockets.post(number));
    sockets.send(CLIENT, 52, REQUEST, 0);
    loop {
        let packet = sockets.receive();
        let (peer, port): (u32, u32) = (rt::read(packet + SRC_PORT), rt::read(packet + DST_PORT));
        match (port, rt::read::<u16>(packet + OP)) {
            (CLIENT, RESPONSE) => {
                rt::write(PACKET + u64::from(HEADER_LEN), HELLO);
                sockets.send(CLIENT, peer, RW, HELLO.len() as u32);
            }
            (CLIENT, SHUTDOWN) => {
                print!("end\n");
                return 1;
            }
            (CLIENT, _) => {
                print!("refused\n");
                return 2;
            }
            (ECHO, REQUEST) => sockets.send(ECHO, peer, RESPONSE, 0),
            (ECHO, RW) => {
                let len = rt::read(packet + LEN);
                for at in (0..u64::from(len)).map(|at| at + u64::from(HEADER_LEN)) {
                    rt::write(PACKET + at, rt::read::<u8>(packet + at));
                }
                sockets.send(ECHO, peer, RW, len);
            }
            (_, RST) => {}
            _ => sockets.send(port, peer, RST, 0),
        }
        sockets.post(sockets.received - 1 + QUEUE_SIZE);
    }
}
