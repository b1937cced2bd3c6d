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

/// Looks for chains each time that it is told to, and tells how many it holds.
struct Fills(Receiver<()>, Sender<usize>);

impl Handler for Fills {
    fn thread_name(&self, _: u16) -> String {
        "test".to_owned()
    }

    fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        let mut spill = vec![0; LONGEST];
        let mut held = Held::new(VolatileSlice::from(&mut spill[..]), true, true);
        held.wanted = 1000;
        while self.0.recv().is_ok() {
            held.fill(queue)?;
            self.1.send(held.chains.len()).expect("the test reads it");
        }
        held.put_back(queue);
        Ok(())
    }

    fn failed(&self, _: u16, _: &ServeError) {}
}

#[test]
fn no_more_chains_are_held_than_a_queue_has() {
    let mut driver = Driver::new(4);
    let (tell, told) = channel();
    let (say, said) = channel();
    let mut fills = Some(Fills(told, say));
    let kick = EventFd::new(0).unwrap();
    let mut workers = Workers::default();
    let activation = Activation {
        memory: driver.memory.clone(),
        features: 0,
        queues: vec![ActiveQueue { index: 0, queue: driver.queue(), kick }],
        notify: Arc::new(Nobody),
    };
    workers.start(activation, |_, _| fills.take().unwrap()).unwrap();
    // The same chain again and again, which has no room for a frame.
    driver.describe_own(0, (FREE, 8, 0, 0));
    for _ in 0..8 {
        driver.offer(0);
        driver.offer(0);
        tell.send(()).unwrap();
        assert!(said.recv().unwrap() <= 4);
    }
    drop(tell);
    workers.stop(Halt::Reset, Duration::from_secs(60)).unwrap();
}
