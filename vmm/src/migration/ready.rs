//! The moment at which a machine changes sides.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::{Broken, Connection, Kind};

/// The longest time for the other side to confirm that the machine runs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other side, which has received all of the machine and waits for `Go`.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) connection: Connection,
    /// The reading end of a pipe. The other end belongs to the other side's process while it exists. Only a process on this host can pass
    /// it.
    pub(super) lifeline: Option<OwnedFd>,
}

/// The result of handing a machine over to the other side.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The machine runs there.
    Moved,
    /// The other side has given up, or its process has ended, before it ran the machine.
    Back(Broken),
    /// The result is unknown.
    Unknown(Broken),
}

impl Ready {
    /// Gives the machine to the other side. From here on, it may run on this side only if the other side is known to have ended without
    /// running it.
    pub(crate) fn go(mut self, stop: &dyn Fn() -> bool) -> Fate {
        // The other side sends nothing before the word unless it gives up, and it can't run the machine without that.
        match self.connection.has_news() {
            Ok(false) => {}
            Ok(true) => {
                let news = self.connection.receive(Some(Duration::ZERO), &|| false);
                return Fate::Back(news.err().unwrap_or(Broken::Nonsense("an unexpected message")));
            }
            Err(broken) => return Fate::Back(broken),
        }
        let begun = Instant::now();
        let sent = self.connection.send_with(Kind::Go, &[], None, PATIENCE, &|| false);
        // Errors don't matter here: the answer counts.
        let answered = self.connection.expect(Kind::Running, Some(PATIENCE), stop);
        let Err(broken) = answered else { return Fate::Moved };
        // It refuses only if the word has not reached it, and ends then.
        if let Broken::Refused(_) = broken {
            return Fate::Back(broken);
        }
        let broken = sent.err().unwrap_or(broken);
        match self.lifeline {
            Some(lifeline) if has_ended(&lifeline, PATIENCE.saturating_sub(begun.elapsed())) => {
                // Messages that it sent before its end are still in the socket.
                match self.connection.expect(Kind::Running, Some(Duration::ZERO), &|| false) {
                    Ok(_) => Fate::Moved,
                    Err(_) => Fate::Back(broken),
                }
            }
            _ => Fate::Unknown(broken),
        }
    }
}

/// Returns whether the other end of a pipe is closed, or gets closed in time.
fn has_ended(lifeline: &OwnedFd, patience: Duration) -> bool {
    let patience = Timespec { tv_sec: i64::try_from(patience.as_secs()).unwrap_or(0), tv_nsec: 0 };
    let mut polled = [PollFd::new(lifeline, PollFlags::IN)];
    poll(&mut polled, Some(&patience)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
#[path = "ready_test.rs"]
mod tests;
