//! The thread that serves a tablet's queues.

use std::{io::ErrorKind, os::fd::AsRawFd, sync::Arc};

use smallvec::SmallVec;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::{
    report::{EVENT, report},
    reports::Reports,
};
use crate::virtio::serve::{JointHandler, ServeError, Served};

/// The queue for the device's events. In the other one the driver sends states of lights and the like, which a tablet lacks.
const EVENTS: u16 = 0;

/// A buffer of the driver's is too short for an event.
#[derive(Debug, thiserror::Error)]
#[error("a buffer for an event has {0} bytes to write to, and an event has {EVENT}")]
struct TooSmall(usize);

/// The handler of both queues.
#[derive(Debug)]
pub(super) struct Work(Arc<Reports>);

impl Work {
    pub(super) fn new(reports: Arc<Reports>) -> Self {
        Self(reports)
    }

    /// Passes on all reports for which there are buffers. If there are too few, the newest report waits for more.
    fn tell(&self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        while let Some((told, next)) = self.0.next() {
            let events = report(told, next);
            let mut chains = SmallVec::<[_; 8]>::new();
            while chains.len() < events.len() {
                let Some(chain) = queue.next()? else { break };
                chains.push(chain);
            }
            if chains.len() < events.len() {
                chains.iter().for_each(|_| queue.put_back());
                // While the device is paused, nothing is lost.
                if !queue.stop().is_set() {
                    self.0.keep_newest();
                }
                return Ok(());
            }
            for (chain, event) in chains.iter().zip(&events) {
                if chain.writable.write(event) < EVENT {
                    return Err(ServeError::Request(Box::new(TooSmall(chain.writable.len()))));
                }
            }
            if !chains.is_empty() {
                queue.give_back_all(chains.iter().map(|chain| (chain.head, 8)))?;
            }
            self.0.done();
        }
        Ok(())
    }
}

/// Takes all statuses and returns their buffers.
fn take_statuses(queue: &mut Served<'_>) -> Result<(), ServeError> {
    while let Some(chain) = queue.next()? {
        queue.give_back(chain.head, 0)?;
        queue.interrupt_if_batched()?;
    }
    Ok(())
}

impl JointHandler for Work {
    fn thread_name(&self) -> String {
        "tablet".to_owned()
    }

    fn run(&mut self, queues: &mut [Served<'_>]) -> Result<(), ServeError> {
        // Edge-triggered: each event wakes the thread, and the counters need not be read.
        let epoll = Epoll::new().map_err(ServeError::Wait)?;
        let kicks = queues.iter().map(|queue| queue.kick().as_raw_fd());
        for fd in kicks.chain([self.0.wake().as_raw_fd()]) {
            let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
            epoll.ctl(ControlOperation::Add, fd, event).map_err(ServeError::Wait)?;
        }
        loop {
            for queue in &mut *queues {
                match queue.index() {
                    EVENTS => self.tell(queue)?,
                    _ => take_statuses(queue)?,
                }
                queue.tell()?;
            }
            if queues.iter().any(|queue| queue.stop().is_set()) {
                return Ok(());
            }
            match epoll.wait(-1, &mut [EpollEvent::default(); 4]) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(ServeError::Wait(error)),
                _ => {}
            }
        }
    }

    fn failed(&self, error: &ServeError) {
        let said = &self.0.broken_queue;
        said.warn(format_args!("tablet: it stops until the guest resets it: {error}"));
    }
}
