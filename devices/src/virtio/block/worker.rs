//! The work on a disk's queue.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::request::{Answer, Request, Terms};
use crate::{
    block::{self, Engine, Executor, Lasting, Limiter, Now, Ring},
    threads::{self, Role},
    virtio::{
        queue::{Chain, QueueError},
        serve::{Handler, Next, ServeError, Served},
    },
};

/// The handler of a disk's queue.
#[derive(Debug)]
pub(super) struct Work {
    executor: Executor,
    terms: Terms,
    now: Now,
    engine: Engine,
    limiter: Option<Arc<Limiter>>,
}

impl Work {
    pub(super) fn new(executor: Executor, terms: Terms, lasting: &Lasting) -> Self {
        let (engine, limiter) = (lasting.options.engine, lasting.limiter.clone());
        Self { executor, terms, now: Now::default(), engine, limiter }
    }

    /// The ring, if the engine and the disk's format allow one.
    fn ring<'m>(&self, queue: &Served<'m>) -> Option<Ring<'m, Answer<'m>>> {
        let files = self.executor.disk().files();
        if self.engine == Engine::Threads || files.is_empty() {
            return None;
        }
        let ring = Ring::new(queue.size(), &files, queue.kick());
        ring.inspect_err(|error| self.executor.faults().no_ring(self.executor.disk().name(), error)).ok()
    }

    /// Serves the queue with the ring until told to stop, with as many requests at a time as the ring holds.
    fn serve_by<'m>(
        &mut self,
        ring: &mut Ring<'m, Answer<'m>>,
        queue: &mut Served<'m>,
    ) -> Result<(), ServeError> {
        loop {
            let pause = loop {
                // With a full ring, no kick is needed: a completion will come.
                if !ring.has_room() {
                    break None;
                }
                let Some(chain) = queue.next()? else { break None };
                let request = self.parse(chain)?;
                if let Err(pause) = self.let_through(&request) {
                    queue.put_back();
                    break Some(pause);
                }
                let alone = queue.seen() == 0 && !ring.is_busy();
                let answer = match self.executor.job(&request) {
                    None => self.executor.execute(request),
                    Some(job) => match self.now.transfer(&self.executor, &request, job, alone) {
                        Some(done) => self.executor.finish(request, done),
                        None => {
                            ring.start(request, job).map_err(ServeError::Start)?;
                            None
                        }
                    },
                };
                give_back(answer, queue)?;
                queue.interrupt_if_batched()?;
            };
            queue.tell()?;
            let stop = queue.stop();
            if stop.leaves_requests() || stop.is_set() && !ring.is_busy() {
                return Ok(());
            }
            ring.wait(pause).map_err(ServeError::Wait)?;
            while let Some((request, done)) = ring.next_done() {
                give_back(self.executor.finish(request, done), queue)?;
            }
            queue.tell()?;
        }
    }

    /// Reads the request in `chain`.
    fn parse<'m>(&self, chain: Chain<'m>) -> Result<block::Request<'m, Answer<'m>>, ServeError> {
        let request = Request::parse(chain).map_err(|error| ServeError::Request(error.into()))?;
        Ok(request.on_disk(self.terms, self.executor.disk().size()))
    }

    /// Charges the request to the limits.
    ///
    /// # Errors
    ///
    /// The request has to wait for this long.
    fn let_through(&self, request: &block::Request<'_, Answer<'_>>) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.take(Instant::now(), request.data.len() as u64)
    }

    /// Serves one request, and waits for the disk.
    fn serve<'m>(&mut self, chain: Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        let request = self.parse(chain)?;
        if let Err(pause) = self.let_through(&request) {
            return Ok(Next::Again(pause));
        }
        let job = self.executor.job(&request);
        let done = job.and_then(|job| self.now.transfer(&self.executor, &request, job, true));
        match done {
            Some(done) => give_back(self.executor.finish(request, done), queue)?,
            None => {
                // Meanwhile, the driver can continue with the requests that are answered.
                queue.tell()?;
                give_back(self.executor.execute(request), queue)?;
                queue.tell()?;
            }
        }
        Ok(Next::Chain)
    }
}

impl Handler for Work {
    fn thread_name(&self, queue: u16) -> String {
        let file = Path::new(self.executor.disk().name()).file_name().unwrap_or_default();
        format!("blk{queue} {}", file.display())
    }

    fn role(&self, queue: u16) -> Role {
        Role::Disk(self.thread_name(queue))
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        let ring = self.ring(queue);
        threads::is_ready(&self.role(queue.index()));
        match ring {
            Some(mut ring) => self.serve_by(&mut ring, queue),
            None => queue.serve_with(|chain, queue| self.serve(chain, queue)),
        }
    }

    fn failed(&self, queue: u16, error: &ServeError) {
        self.executor.faults().driver(self.executor.disk().name(), format_args!("queue {queue}"), error);
    }
}

/// Returns an answered chain to the driver, if there is one.
fn give_back(answer: Option<(u16, u32)>, queue: &mut Served<'_>) -> Result<(), QueueError> {
    answer.map_or(Ok(()), |(head, written)| queue.give_back(head, written))
}
