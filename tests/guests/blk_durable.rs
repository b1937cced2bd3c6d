//! Writes to its disk round by round, according to `blk_plan`, and prints each round once a flush has confirmed it.
//!
//! The command line is the number of the first round, and letters:
//! - `j`: the number of the last confirmed round is written to a second disk, which unlike the serial port buffers nothing;
//! - `s`: each `s` on the serial port starts a round, and `q` ends the guest;
//! - `r`: the data of the previous round is read first; with either letter a round starts only after that;
//! - `a`: the disk is on an AHCI controller, and the journal in the slot of the virtio disk;
//! - `t`: there are no flushes and no write cache, so a write is confirmed when it is answered.
//!
//! A line of output has the round, and its failures: the failed writes, the flush, the failed reads of the previous round, and the reads
//! that returned other data.
#![no_std]
#![no_main]

mod blk_plan;
mod disk;
mod rt;
mod sata;
mod virtio;

use blk_plan::Round;
use disk::{Disk, F_FLUSH, FLUSH};

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    let (mut round, options) = command_line();
    let [journaled, stepped, reading, through, ahci] =
        b"jsrta".map(|letter| options & 1 << (letter & 31) != 0);
    let mut disk = match ahci {
        true => Disk::start_ahci(through),
        false => Disk::start(1, if through { 0 } else { F_FLUSH }),
    };
    // It is never flushed, as it must survive only the end of a process.
    let mut journal = if journaled { Some(Disk::start(if ahci { 1 } else { 2 }, F_FLUSH)) } else { None };
    print!("ready\n");
    let (mut written, mut failed) = (0, 0);
    loop {
        if stepped && !is_asked_for_more() {
            return 0;
        }
        let (unread, differing) = if reading { disk.read(Round(round - 1)) } else { (0, 0) };
        disk.offer_writes(Round(round), written..Round(round).writes());
        failed |= disk.wait() << written;
        let next = Round(round + 1);
        written = if stepped || reading { 0 } else { next.early() };
        if !through {
            disk.offer(FLUSH, 0, 0);
        }
        disk.offer_writes(next, 0..written);
        let answers = disk.wait();
        let (unflushed, next_failed) = if through { (0, answers) } else { (answers & 1, answers >> 1) };
        if let Some(journal) = &mut journal {
            journal.offer_content(0, 1, round);
            if journal.wait() != 0 {
                print!("the journal failed\n");
                return 1;
            }
        }
        print!(round, " ", failed, " ", unflushed, " ", unread, " ", differing, "\n");
        failed = next_failed;
        round += 1;
    }
}

/// The number at the start of the command line, and a bit for each letter after it.
fn command_line() -> (u64, u32) {
    let (mut number, mut letters) = (0, 0);
    for at in CMDLINE.. {
        match rt::read::<u8>(at) {
            0 => break,
            digit @ b'0'..=b'9' => number = 10 * number + u64::from(digit - b'0'),
            letter => letters |= 1 << (letter & 31),
        }
    }
    (number, letters)
}

/// Waits for a byte on the serial port, and returns whether it asks for another round.
fn is_asked_for_more() -> bool {
    while rt::inb(LINE_STATUS) & 1 == 0 {}
    rt::inb(DATA) == b's'
}
