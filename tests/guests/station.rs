//! A station in a network that answers others: ARP, ICMP echo, and UDP, where it echoes all datagrams.
#![allow(dead_code, reason = "no guest needs all of it")]

use core::arch::asm;

use crate::{
    ethernet::{Card, Frame},
    print,
};

const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
/// RFC 826: Ethernet, IPv4, the lengths of their addresses.
const ARP_HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ECHO: u8 = 8;

/// A station with an address.
pub struct Station {
    card: Card,
    mac: [u8; 6],
    ip: [u8; 4],
    /// The station to ask for.
    other: Option<[u8; 4]>,
}

impl Station {
    /// Starts the first card on the bus, and announces 10.0.0.`number`; `other` is the number of a station to ask for.
    pub fn start(number: u8, other: Option<u8>) -> Self {
        let card = Card::start();
        let ip = |number| [10, 0, 0, number];
        let mut station = Self { mac: card.mac(), ip: ip(number), other: other.map(ip), card };
        print!("address ");
        print_mac(station.mac);
        station.arp(REQUEST, BROADCAST, [0; 6], station.ip);
        station
    }

    pub fn link_is_up(&self) -> bool {
        self.card.link_is_up()
    }

    /// Asks for the other station, if there is one.
    pub fn ask(&mut self) {
        if let Some(other) = self.other {
            self.arp(REQUEST, BROADCAST, [0; 6], other);
        }
    }

    /// Handles the next frame, if there is one. Returns whether it is the answer of the other station.
    pub fn serve(&mut self) -> bool {
        let Some(frame) = self.card.next() else { return false };
        let is_over = self.take(frame);
        self.card.done();
        is_over
    }


    /// Handles a frame. Returns whether it is the expected one.
    fn take(&mut self, frame: Frame) -> bool {
        let to: [u8; 6] = frame.get(0);
        if to != self.mac && to != BROADCAST {
            return false;
        }
        match frame.get(12) {
            ARP if frame.get(14) == ARP_HEADER => self.take_arp(frame),
            IPV4 => self.take_ip(frame),
            _ => false,
        }
    }

    fn take_arp(&mut self, frame: Frame) -> bool {
        let (mac, ip): ([u8; 6], [u8; 4]) = (frame.get(22), frame.get(28));
        match frame.get(20) {
            REQUEST if frame.get(38) == self.ip => self.arp(REPLY, mac, mac, ip),
            REPLY if Some(ip) == self.other => self.ping(mac, ip),
            _ => {}
        }
        false
    }

    fn take_ip(&mut self, frame: Frame) -> bool {
        // A header without options.
        let [version_and_len] = frame.get(14);
        if version_and_len != 0x45 {
            return false;
        }
        let [protocol] = frame.get(23);
        let [kind] = frame.get(34);
        match (protocol, kind) {
            (ICMP, 0) if Some(frame.get(26)) == self.other => {
                print!("answered by ");
                print_mac(frame.get(6));
                return true;
            }
            (ICMP, ECHO) => self.send_back(frame, |reply| {
                reply.set(34, [0]);
                // RFC 1624: the sum decreases by the field's old value.
                let sum = u32::from(u16::from_be_bytes(reply.get(36))) + u32::from(ECHO) * 0x100;
                reply.set(36, ((sum & 0xffff) as u16 + (sum >> 16) as u16).to_be_bytes());
            }),
            (UDP, _) => self.send_back(frame, |reply| reply.swap::<2>(34, 36)),
            _ => {}
        }
        false
    }

    /// Sends a datagram back to its sender. The checksums over addresses and ports stay valid.
    fn send_back(&mut self, frame: Frame, change: impl FnOnce(Frame)) {
        let reply = Card::frame(frame.len);
        frame.copy_to(reply);
        reply.swap::<6>(0, 6);
        reply.swap::<4>(26, 30);
        change(reply);
        self.card.send(reply);
    }

    fn arp(&mut self, operation: [u8; 2], to: [u8; 6], mac: [u8; 6], ip: [u8; 4]) {
        let frame = Card::frame(42);
        frame.set(0, to);
        frame.set(6, self.mac);
        frame.set(12, ARP);
        frame.set(14, ARP_HEADER);
        frame.set(20, operation);
        frame.set(22, self.mac);
        frame.set(28, self.ip);
        frame.set(32, mac);
        frame.set(38, ip);
        self.card.send(frame);
    }

    /// Sends an ICMP echo request without data.
    fn ping(&mut self, mac: [u8; 6], ip: [u8; 4]) {
        let frame = Card::frame(42);
        frame.set(0, mac);
        frame.set(6, self.mac);
        frame.set(12, IPV4);
        frame.set(14, [0x45, 0, 0, 28, 0, 0, 0, 0, 64, ICMP, 0, 0]);
        frame.set(26, self.ip);
        frame.set(30, ip);
        // RFC 1071, over the header.
        let sum: u32 = (14..34).step_by(2).map(|at| u32::from(u16::from_be_bytes(frame.get(at)))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        frame.set(24, (!(sum as u16)).to_be_bytes());
        frame.set(34, [ECHO, 0, 0xf7, 0xff, 0, 0, 0, 0]);
        self.card.send(frame);
    }
}

fn print_mac(mac: [u8; 6]) {
    let mut between = "";
    for byte in mac {
        print!(between, byte >> 4, byte & 0xf);
        between = ":";
    }
    print!("\n");
}

/// rustc calls it to move large values.
#[unsafe(no_mangle)]
extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack))
    };
    to
}
