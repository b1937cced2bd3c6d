//! The plain loop: one thread a queue, one system call a frame.
#![expect(unsafe_code, reason = "ports give plain descriptors")]

use std::{
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use devices::net::{LONGEST, Network};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    Lines, Load, Way,
    bench::figures::{ROUND, Run},
    frame, round,
};

/// Does a round.
pub(super) fn run(lines: &Lines, queues: u16, load: &Load) -> Run {
    lines.tap.use_ports(queues).unwrap();
    let mut queues: Vec<u16> = (0..queues).collect();
    round(lines, load, &mut queues, |&mut queue, received| match lines.way {
        Way::Receive => receive(lines, queue, load, received),
        Way::Transmit => transmit(lines, queue, load),
    })
}

fn receive(lines: &Lines, queue: u16, load: &Load, received: &AtomicU64) -> u64 {
    // SAFETY: the tap keeps it open.
    let tap = unsafe { BorrowedFd::borrow_raw(lines.tap.port(queue).descriptor()) };
    let (len, count) = load.buffers(lines.way);
    let (room, mut at, mut done) = (len * usize::from(count), 0, 0);
    let mut memory = vec![0; room + LONGEST];
    while received.load(Ordering::Relaxed) < load.burst {
        match rustix::io::read(tap, &mut memory[at..at + LONGEST]) {
            Ok(read) => {
                at = (at + read.next_multiple_of(len)) % room;
                received.fetch_add(1, Ordering::Relaxed);
                done += 1;
            }
            Err(Errno::AGAIN) => {
                let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                poll(&mut [PollFd::new(&tap, PollFlags::IN)], Some(&pause)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    done
}

fn transmit(lines: &Lines, queue: u16, load: &Load) -> u64 {
    // SAFETY: the tap keeps it open.
    let tap = unsafe { BorrowedFd::borrow_raw(lines.tap.port(queue).descriptor()) };
    let (_, count) = load.buffers(lines.way);
    let frames: Vec<_> = (0..count).map(|_| frame(load, queue.into())).collect();
    let (mut frames, start) = (frames.iter().cycle(), Instant::now());
    let mut done = 0;
    while start.elapsed() < ROUND {
        for frame in frames.by_ref().take(64) {
            rustix::io::write(tap, frame).unwrap();
        }
        done += 64;
    }
    done
}
