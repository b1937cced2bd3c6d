use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use vmm_sys_util::eventfd::EventFd;

use super::*;
use crate::virtio::{
    device::{Activation, ActiveQueue, Halt, Notify},
    queue::test_driver::{Driver, FREE},
    serve::{Handler, ServeError, Workers},
};

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn used(&self, _: u16) {}
    fn config_changed(&self) {}
    fn needs_reset(&self) {}
}

/// Looks for chains for a frame of this many bytes whenever it is told to, and reports the number of chains held, and the lengths of the
/// buffers for the frame.
struct Fills(usize, Receiver<()>, Sender<(usize, Vec<usize>)>);

impl Handler for Fills {
    fn thread_name(&self, _: u16) -> String {
        "test".to_owned()
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        let mut spill = vec![0; LONGEST];
        let mut held = Held::new(VolatileSlice::from(&mut spill[..]), true, true);
        held.wanted = self.0;
        while self.1.recv().is_ok() {
            held.fill(queue)?;
            let pieces = held.pieces().iter().map(VolatileSlice::len).collect();
            self.2.send((held.chains.len(), pieces)).expect("the test reads it");
        }
        held.put_back(queue);
        Ok(())
    }

    fn failed(&self, _: u16, _: &ServeError) {}
}

/// Calls `test` with a function that looks once, in a queue of 4 for a frame of `wanted` bytes.
fn look(wanted: usize, test: impl FnOnce(&mut Driver, &dyn Fn() -> (usize, Vec<usize>))) {
    let mut driver = Driver::new(4);
    let (tell, told) = channel();
    let (say, said) = channel();
    let mut fills = Some(Fills(wanted, told, say));
    let kick = EventFd::new(0).unwrap();
    let mut workers = Workers::default();
    let activation = Activation {
        memory: driver.memory.clone(),
        features: 0,
        queues: vec![ActiveQueue { index: 0, queue: driver.queue(), kick }],
        notify: Arc::new(Nobody),
    };
    workers.start(activation, |_, _| fills.take().unwrap()).unwrap();
    test(&mut driver, &|| {
        tell.send(()).unwrap();
        said.recv().unwrap()
    });
    drop(tell);
    workers.stop(Halt::Reset, Duration::from_secs(60)).unwrap();
}

#[test]
fn no_more_chains_are_held_than_a_queue_has() {
    look(1000, |driver, look| {
        // The same chain again and again, which has no room for a frame.
        driver.describe_own(0, (FREE, 8, 0, 0));
        for _ in 0..8 {
            driver.offer(0);
            driver.offer(0);
            assert!(look().0 <= 4);
        }
    });
}

#[test]
fn short_frames_are_received_into_one_buffer() {
    for (wanted, pieces) in [(COPIED, vec![LONGEST]), (COPIED + 1, vec![1024, 1024, 512, LONGEST])] {
        look(wanted, |driver, look| {
            for (index, len) in (0..).zip([1024, 1024, 512]) {
                driver.describe_own(index, (FREE + 1024 * u64::from(index), len, 2, 0));
                driver.offer(index);
            }
            assert_eq!(look().1, pieces);
        });
    }
}
