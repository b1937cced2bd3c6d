//! Work on many pieces of memory, by as many threads as it pays for.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Result, bail};
use devices::threads::{self, Role};
use rustix::thread::sched_getaffinity;

/// The bytes of a piece: the size of a huge page.
pub(super) const PIECE: usize = 2 << 20;

/// The most threads. More would not make memory faster.
const MOST_THREADS: usize = 8;
/// The least number of pieces per thread. Fewer would be done before another thread has started.
const LEAST_EACH: usize = 8;

const STOPPED: &str = "nvmm was told to end";

/// Pieces that threads take one by one.
struct Shared<W> {
    /// The number of all pieces, and of those taken so far.
    count: usize,
    taken: AtomicUsize,
    /// A thread has failed, or `stop` returned true.
    is_over: AtomicBool,
    error: Mutex<Option<anyhow::Error>>,
    work: W,
}

/// Runs `work` for the numbers of all pieces below `count`, in any order. Each thread has a buffer for one piece. Gives up when `stop`
/// returns true. Returns the results in the order of the numbers.
///
/// # Errors
///
/// The first error of `work`, or it was stopped.
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
    // If the host can't start more threads, this one does the work.
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

/// The number of processors that this thread may run on.
fn processors() -> usize {
    sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

impl<T, W: Fn(usize, &mut [u8]) -> Result<T>> Shared<W> {
    /// Works on pieces until none is left.
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
