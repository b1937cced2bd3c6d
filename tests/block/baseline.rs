//! The plain loop: one thread per queue, one ring per thread, transfers of one buffer each on a registered file.
#![expect(unsafe_code, reason = "the kernel uses the buffers while transfers are on their way")]

use std::{
    fs::OpenOptions,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
    sync::Barrier,
    thread,
    time::Instant,
};

use io_uring::{IoUring, opcode, squeue::Entry, types::Fixed};
use vm_memory::{MmapRegion, mmap::MmapRegionBuilder};

use super::{
    Load, Places,
    bench::figures::{ROUND, Run, Watch},
};

/// Runs a round.
pub(super) fn run(path: &Path, direct: bool, queues: u16, load: &Load) -> Run {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
    let ready = Barrier::new(usize::from(queues) + 1);
    let mut watch = Watch::default();
    thread::scope(|scope| {
        let run = |queue| one(file.as_raw_fd(), load, &ready, queue);
        let threads: Vec<_> = (0..queues).map(|queue| scope.spawn(move || run(queue.into()))).collect();
        ready.wait();
        watch.time(|| threads.into_iter().map(|thread| thread.join().unwrap()).sum());
    });
    watch.stop()
}

fn one(file: i32, load: &Load, ready: &Barrier, seed: u64) -> u64 {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(load.depth.into())
        .or_else(|_| IoUring::new(load.depth.into()))
        .unwrap();
    ring.submitter().register_files(&[file]).unwrap();
    let len = usize::try_from(load.len).unwrap();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let memory: MmapRegion = MmapRegionBuilder::new(usize::from(load.depth) * len)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags)
        .build()
        .unwrap();
    for page in (0..memory.size()).step_by(4096) {
        // SAFETY: within the mapping, which nothing else accesses.
        unsafe { memory.as_ptr().wrapping_add(page).write_volatile(0) };
    }
    let mut places = Places::new(load, seed + 1);
    let mut transfer = |slot: usize| -> Entry {
        let buffer = memory.as_ptr().wrapping_add(slot * len);
        let offset = places.next();
        let entry = if load.write {
            opcode::Write::new(Fixed(0), buffer, load.len).offset(offset).build()
        } else {
            opcode::Read::new(Fixed(0), buffer, load.len).offset(offset).build()
        };
        entry.user_data(slot as u64)
    };
    ready.wait();
    let start = Instant::now();
    let mut done = 0;
    let mut idle: Vec<_> = (0..usize::from(load.depth)).collect();
    let mut busy = 0;
    loop {
        let running = start.elapsed() < ROUND;
        for slot in idle.drain(..).filter(|_| running) {
            // SAFETY: only this slot uses the buffer until its completion.
            unsafe { ring.submission().push(&transfer(slot)).unwrap() };
            busy += 1;
        }
        if busy == 0 {
            return done;
        }
        ring.submit_and_wait(1).unwrap();
        for completion in ring.completion() {
            assert_eq!(u32::try_from(completion.result()), Ok(load.len));
            idle.push(usize::try_from(completion.user_data()).unwrap());
            busy -= 1;
            done += 1;
        }
    }
}
