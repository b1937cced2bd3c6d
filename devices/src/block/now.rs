//! Transfers that a worker does by itself, because they need not wait for the host's storage: the ring costs more than they do.

use std::io;

use super::{
    executor::{Executor, Job},
    request::Request,
};
use crate::disk::Direction;

/// The longest transfer that is done so. A longer one is mostly copying, which the ring's threads share.
const LONGEST: usize = 128 << 10;

/// After this many misses in a row, one in so many is tried at most.
const MOST_SKIPPED: u32 = 64;

/// The record of a disk's transfers that decides on the next ones.
#[derive(Debug, Default)]
pub(crate) struct Now {
    read: Luck,
    write: Luck,
}

/// The record of one direction.
#[derive(Debug, Default)]
struct Luck {
    /// The file system knows no transfers that don't wait.
    never: bool,
    /// The back-off after a miss: its length in requests, and how many of them are left.
    skipped: u32,
    left: u32,
}

impl Now {
    /// Does `job` for `request`, if that need not wait; `alone` says that there is no other to be carried out with it.
    /// Returns the bytes moved; `None` leaves all of it to the ring.
    ///
    /// A disk in memory never waits. Of others, what the page cache has is there at once, but several such transfers cost less
    /// on the ring.
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
            // A part, or nothing of it, is there; or it is an error, which the ring meets again.
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
