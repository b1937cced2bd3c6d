use super::*;

fn emulator(looked: Instant) -> Emulator {
    let used = Used::default();
    // A process ID that doesn't exist: the tests set the time used.
    Emulator { name: "QEMU TCG", process: u32::MAX, used, looked: (looked, used), idle: false }
}

fn seconds(ran: u64, waited: u64) -> Used {
    Used { ran: Duration::from_secs(ran), waited: Duration::from_secs(waited) }
}

#[test]
fn waiting_for_a_processor_does_not_count() {
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    let mut starved = Clock { start: start.checked_sub(hour).unwrap(), emulator: Some(emulator(start)) };
    assert!(starved.now() >= hour);
    starved.emulator.as_mut().unwrap().used = seconds(100, 3400);
    assert!((200..300).contains(&starved.now().as_secs()));
    starved.emulator.as_mut().unwrap().used = seconds(0, 4000);
    assert_eq!(starved.now(), Duration::ZERO);
}

#[test]
fn an_emulator_is_idle_when_it_neither_runs_nor_waits() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut watched = emulator(start);
    let mut look = |second, used| {
        watched.used = used;
        watched.idle(at(second))
    };
    assert_eq!(look(19, seconds(1, 0)), None);
    // It got little of the processor, since others use it.
    assert_eq!(look(20, seconds(1, 19)), None);
    let idle = Some(format!("QEMU TCG (process {}) is idle", u32::MAX));
    assert_eq!(look(40, seconds(1, 19)), idle);
    // It is reported once.
    assert_eq!(look(60, seconds(1, 19)), None);
    assert_eq!(look(80, seconds(15, 19)), None);
    assert_eq!(look(100, seconds(15, 19)), idle);
    // A kernel that doesn't count is distinguished from an emulator that doesn't run.
    let mut uncounted = emulator(start);
    assert_eq!([20, 40].map(|second| uncounted.idle(at(second))), [None, None]);
}

#[test]
fn the_busiest_thread_is_the_one_that_emulates() {
    let tasks = tempfile::tempdir().unwrap();
    assert_eq!(busiest(tasks.path()), None);
    for (thread, text) in [("1", "1000000000 5000000000 9\n"), ("2", "7000000000 2000000000 9\n"), ("3", "?")]
    {
        fs::create_dir(tasks.path().join(thread)).unwrap();
        fs::write(tasks.path().join(thread).join("schedstat"), text).unwrap();
    }
    assert_eq!(busiest(tasks.path()), Some(seconds(7, 2)));
}

#[test]
fn this_process_is_seen_to_run() {
    // Kernels without these statistics have no such file.
    if Path::new("/proc/self/schedstat").exists() {
        assert!(busiest(Path::new("/proc/self/task")).is_some());
    }
    let mut clock = Clock::of(std::process::id(), "a test");
    assert!(clock.now() <= clock.start.elapsed() && clock.idle().is_none() && clock.is_idle().is_none());
    let mut wall = Clock::wall();
    assert!(wall.now() <= wall.start.elapsed() && wall.idle().is_none());
}
