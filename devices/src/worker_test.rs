use std::{
    sync::atomic::{AtomicBool, AtomicU32},
    thread,
};

use super::*;

/// A timeout long enough for a thread to be scheduled on any machine.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Resets(AtomicU32);

fn spawn<T: Send + 'static>(
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> (Worker<T>, Arc<Resets>) {
    let resets = Arc::new(Resets::default());
    let wake = EventFd::new(0).unwrap();
    let panics = Arc::clone(&resets);
    let panicked = move || {
        panics.0.fetch_add(1, Ordering::SeqCst);
    };
    (Worker::spawn(&Role::Proof, stop.clone(), &wake, panicked, work).unwrap(), resets)
}

#[test]
fn a_stopped_worker_returns_what_it_owned() {
    let stop = Stop::default();
    let seen = stop.clone();
    let (worker, resets) = spawn(&stop, move || {
        while !seen.is_set() {
            thread::yield_now();
        }
        "the queue"
    });
    assert!(!worker.has_ended(Duration::ZERO));
    worker.stop(Halt::Pause);
    assert!(worker.has_ended(LONG));
    assert!(worker.has_ended(Duration::ZERO), "it stays so");
    assert_eq!(worker.join(), Some("the queue"));
    assert_eq!(resets.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_worker_has_ended_when_it_has_let_go_of_all() {
    struct Slow(Arc<AtomicBool>);
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let slow = Slow(Arc::clone(&dropped));
    let (worker, _) = spawn(&Stop::default(), move || {
        let _held = &slow;
    });
    assert!(worker.has_ended(LONG));
    assert!(dropped.load(Ordering::SeqCst));
}

#[test]
fn a_worker_that_panics_needs_a_reset() {
    let (worker, resets) = spawn(&Stop::default(), || -> u32 { panic!("in a test") });
    assert!(worker.has_ended(LONG));
    assert_eq!(resets.0.load(Ordering::SeqCst), 1);
    assert_eq!(worker.join(), None);
}

#[test]
fn the_strongest_wish_counts() {
    let stop = Stop::default();
    let seen = || (stop.is_set(), stop.leaves_requests());
    assert_eq!(seen(), (false, false));
    for (halt, expected) in
        [(Halt::Pause, (true, false)), (Halt::Reset, (true, true)), (Halt::Pause, (true, true))]
    {
        stop.set(halt);
        assert_eq!(seen(), expected, "{halt:?}");
    }
}
