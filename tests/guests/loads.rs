//! Three loads at once: it writes to its disk round by round and reads that again, as `blk_durable` does with the letter `r`; it answers in
//! a network as 10.0.0.2, as `network` does; and it echoes its input, between the lines about its rounds.
#![no_std]
#![no_main]

mod blk_plan;
mod disk;
mod ethernet;
mod rt;
mod sata;
mod station;
mod virtio;

use blk_plan::Round;
use disk::{Disk, F_FLUSH, FLUSH};
use station::Station;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    let mut station = Station::start(2, None);
    let mut rounds = Rounds { disk: Disk::start(1, F_FLUSH), round: 0, part: Part::Flush, line: [0; 4] };
    print!("ready\n");
    loop {
        rounds.go_on();
        station.serve();
        if rt::inb(LINE_STATUS) & 1 != 0 {
            rt::outb(DATA, rt::inb(DATA));
        }
    }
}

/// The requests in flight of a round.
enum Part {
    Reads,
    Writes,
    Flush,
}

struct Rounds {
    disk: Disk,
    round: u64,
    part: Part,
    /// The failed writes, the flush, the failed reads, and the reads that returned other data.
    line: [u64; 4],
}

impl Rounds {
    /// Begins the next part of a round once no request is in flight.
    fn go_on(&mut self) {
        if !self.disk.is_idle() {
            return;
        }
        let (this, before) = (Round(self.round), Round(self.round.saturating_sub(1)));
        match self.part {
            Part::Reads => {
                (self.line[2], self.line[3]) = self.disk.finish_reads(before);
                self.disk.offer_writes(this, 0..this.writes());
                self.part = Part::Writes;
            }
            Part::Writes => {
                self.line[0] = self.disk.wait();
                self.disk.offer(FLUSH, 0, 0);
                self.part = Part::Flush;
            }
            Part::Flush => {
                self.line[1] = self.disk.wait();
                if self.round > 0 {
                    let [failed, unflushed, unread, differing] = self.line;
                    print!(self.round, " ", failed, " ", unflushed, " ", unread, " ", differing, "\n");
                }
                self.disk.offer_reads(this);
                self.round += 1;
                self.part = Part::Reads;
            }
        }
    }
}
