//! Transfers that a worker does by itself because they need not wait for the host's storage: for these, the ring would cost more.

use std::io;

use super::{
    executor::{Executor, Job},
    request::Request,
};
use crate::disk::Direction;

/// The longest transfer that is done here. A longer one is mostly copying, which the ring's threads can share.
const LONGEST: usize = 128 << 10;

/// The longest back-off: after many misses in a row, one of this many transfers is still tried.
const MOST_SKIPPED: u32 = 64;

/// A disk's record of such transfers, which decides whether to try the next one.
#[derive(Debug, Default)]
pub(crate) struct Now {
    read: Luck,
    write: Luck,
}

/// The record for reads or for writes.
#[derive(Debug, Default)]
struct Luck {
    /// The file system supports no transfers that don't wait.
    never: bool,
    /// The back-off after a miss: its length in requests, and how many of them are left.
    skipped: u32,
    left: u32,
}

impl Now {
    /// Does `job` for `request`, if that need not wait. `alone` means that no other request is there to be carried out with it. Returns the
    /// bytes moved; `None` leaves all of it to the ring.
    ///
    /// A disk in memory never waits. Other disks have at once what is in the page cache, but several such transfers cost less on the ring.
    pub(crate) fn transfer<R>(
        &mut self,
        executor: &Executor,
        request: &Request<'_, R>,
        job: Job,
        alone: bool,
    ) -> Option<io::Result<usize>> {
        let Job::Transfer { direction, offset, stable: false, .. } = job else { return None };
        let data = &request.data;
        let len = data.len();
        if len > LONGEST {
            return None;
        }
        let disk = executor.disk();
        if disk.is_in_memory() {
            let moved = match direction {
                Direction::Read => disk.read_at(data.as_slice(), offset),
                Direction::Write => disk.write_at(data.as_slice(), offset),
            };
            return Some(moved.map(|()| len));
        }
        let luck = match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        };
        if !alone || !luck.tries() {
            return None;
        }
        match disk.transfer_now(direction, data.as_slice(), offset) {
            Ok(moved) if moved == len => {
                luck.skipped = 0;
                Some(Ok(len))
            }
            // Only a part or nothing of it is there, or there is an error, which the ring will get again.
            Ok(_) => luck.missed(),
            Err(error) => {
                luck.never = matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput);
                luck.missed()
            }
        }
    }
}

impl Luck {
    fn tries(&mut self) -> bool {
        let tries = self.left == 0;
        self.left = self.left.saturating_sub(1);
        tries && !self.never
    }

    fn missed<T>(&mut self) -> Option<T> {
        self.skipped = (2 * self.skipped).clamp(1, MOST_SKIPPED);
        self.left = self.skipped;
        None
    }
}

#[cfg(test)]
#[path = "now_test.rs"]
mod tests;
