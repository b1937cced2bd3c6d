//! The plain loop: one thread a queue, one system call a frame, by the C library as in most programs.
//!
//! `rustix` would put the `syscall` instruction into the loop itself. Without a single return in user mode behind it, the loop
//! is up to 0.4 us a frame faster on processors whose return predictor is of no use after a system call; no program that does
//! anything with its frames can be like that.
#![expect(unsafe_code, reason = "ports give plain descriptors")]

use std::{
    io::{Error, ErrorKind},
    os::fd::{BorrowedFd, RawFd},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use devices::net::{LONGEST, Network};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
    let tap = lines.tap.port(queue).descriptor();
    let (len, count) = load.buffers(lines.way);
    let (room, mut at, mut done) = (len * usize::from(count), 0, 0);
    let mut memory = vec![0; room + LONGEST];
    while received.load(Ordering::Relaxed) < load.burst {
        match read(tap, &mut memory[at..at + LONGEST]) {
            Ok(read) => {
                at = (at + read.next_multiple_of(len)) % room;
                received.fetch_add(1, Ordering::Relaxed);
                done += 1;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // SAFETY: the tap keeps it open.
                let tap = unsafe { BorrowedFd::borrow_raw(tap) };
                let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                poll(&mut [PollFd::new(&tap, PollFlags::IN)], Some(&pause)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    done
}

fn transmit(lines: &Lines, queue: u16, load: &Load) -> u64 {
    let tap = lines.tap.port(queue).descriptor();
    let (_, count) = load.buffers(lines.way);
    let frames: Vec<_> = (0..count).map(|_| frame(load, queue.into())).collect();
    let (mut frames, start) = (frames.iter().cycle(), Instant::now());
    let mut done = 0;
    while start.elapsed() < ROUND {
        for frame in frames.by_ref().take(64) {
            write(tap, frame).unwrap();
        }
        done += 64;
    }
    done
}

fn read(fd: RawFd, room: &mut [u8]) -> Result<usize, Error> {
    // SAFETY: the kernel writes to `room`, and no further.
    let len = unsafe { libc::read(fd, room.as_mut_ptr().cast(), room.len()) };
    usize::try_from(len).map_err(|_| Error::last_os_error())
}

fn write(fd: RawFd, frame: &[u8]) -> Result<usize, Error> {
    // SAFETY: the kernel reads `frame`, and no further.
    let len = unsafe { libc::write(fd, frame.as_ptr().cast(), frame.len()) };
    usize::try_from(len).map_err(|_| Error::last_os_error())
}
