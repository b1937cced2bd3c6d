//! Work on many pieces of memory, by as many threads as are worth it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Result, bail};
use devices::threads::{self, Role};
use rustix::thread::sched_getaffinity;

/// The bytes of a piece: as many as a huge page has.
pub(super) const PIECE: usize = 2 << 20;

/// The most threads. Memory is not faster for more.
const MOST_THREADS: usize = 8;
/// Fewer pieces than this for each are done before another thread has begun.
const LEAST_EACH: usize = 8;

const STOPPED: &str = "nvmm was told to end";

/// Pieces that threads take, one after the other.
struct Shared<W> {
    /// The number of all, and of those that were taken.
    count: usize,
    taken: AtomicUsize,
    /// Someone has failed, or was told to stop.
    is_over: AtomicBool,
    error: Mutex<Option<anyhow::Error>>,
    work: W,
}

/// Has `work` done for the numbers of all pieces below `count`, in any order, with room for a piece that is its thread's own. `stop` says whether to
/// give up. Returns the results by their numbers.
///
/// # Errors
///
/// The first of `work`, or it was to stop.
pub(super) fn each<T: Send + 'static>(
    count: usize,
    stop: &dyn Fn() -> bool,
    work: impl Fn(usize, &mut [u8]) -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    if stop() {
        bail!(STOPPED);
    }
    let shared = Shared {
        count,
        taken: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        error: Mutex::new(None),
        work,
    };
    let shared = Arc::new(shared);
    let threads = MOST_THREADS.min(count / LEAST_EACH);
    let threads = if threads > 1 { threads.min(processors()) } else { 1 };
    // A host without room for them has this one.
    let others = (1..threads).map_while(|_| {
        let shared = Arc::clone(&shared);
        threads::spawn(&Role::Memory, move || shared.run(&|| false)).ok()
    });
    let others: Vec<_> = others.collect();
    let mut done = shared.run(stop);
    for thread in others {
        match thread.join() {
            Ok(theirs) => done.extend(theirs),
            Err(_) => bail!("a thread that moves memory panicked"),
        }
    }
    if let Some(error) = shared.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The processors that this thread may run on.
fn processors() -> usize {
    sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

impl<T, W: Fn(usize, &mut [u8]) -> Result<T>> Shared<W> {
    /// Takes pieces until none is left.
    fn run(&self, stop: &dyn Fn() -> bool) -> Vec<(usize, T)> {
        let mut room = vec![0; PIECE];
        let mut done = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                break;
            }
            let result = if stop() { Err(anyhow::anyhow!(STOPPED)) } else { (self.work)(number, &mut room) };
            match result {
                Ok(result) => done.push((number, result)),
                Err(error) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
        done
    }
}

#[cfg(test)]
#[path = "pieces_test.rs"]
mod tests;
