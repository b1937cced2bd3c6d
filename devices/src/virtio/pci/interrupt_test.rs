use std::thread;

use super::*;
use crate::{
    irq::Msi,
    pci::{MessageControl, Msix},
    testing::{FakeLine, FakeMsi},
};

fn new() -> (Arc<Interrupts>, Msix, Vec<Arc<FakeMsi>>, Arc<FakeLine>) {
    let fakes: Vec<_> = (0..3).map(|_| Arc::new(FakeMsi::default())).collect();
    let mut msix = Msix::new(fakes.iter().map(|fake| fake.clone() as Arc<dyn Msi>).collect());
    for vector in 0..3 {
        msix.write_table(vector * 16 + 12, &[0; 4]);
    }
    let line = Arc::new(FakeLine::default());
    let interrupts = Interrupts::new(2, Arc::clone(msix.vectors()), line.clone());
    (Arc::new(interrupts), msix, fakes, line)
}

fn signals(fakes: &[Arc<FakeMsi>]) -> Vec<u32> {
    fakes.iter().map(|fake| fake.take_signals()).collect()
}

#[test]
fn intx_is_high_until_the_isr_is_read() {
    let (interrupts, _msix, _fakes, line) = new();
    interrupts.add_status(Status::DRIVER_OK);
    interrupts.used(0);
    interrupts.config_changed();
    assert!(line.high());
    assert_eq!(line.take_edges(), 1);
    assert!(interrupts.intx_pending());
    assert_eq!(interrupts.take_isr(), 3);
    assert!(!line.high());
    assert_eq!(interrupts.take_isr(), 0);
    interrupts.used(1);
    assert_eq!(line.take_edges(), 1);
    interrupts.reset();
    assert!(!line.high());
    assert_eq!(interrupts.take_isr(), 0);
}

#[test]
fn intx_that_is_disabled_is_pending() {
    let (interrupts, _msix, _fakes, line) = new();
    interrupts.enable_intx(false);
    interrupts.used(0);
    assert!(!line.high());
    assert!(interrupts.intx_pending());
    interrupts.enable_intx(true);
    assert!(line.high());
    interrupts.enable_intx(false);
    assert!(!line.high());
}

#[test]
fn msix_has_a_vector_for_each_event() {
    let (interrupts, mut msix, fakes, line) = new();
    msix.set_control(MessageControl::new().with_enable(true));
    interrupts.add_status(Status::DRIVER_OK);
    interrupts.used(0);
    interrupts.config_changed();
    assert_eq!(signals(&fakes), [0, 0, 0], "no vectors yet");
    interrupts.set_config_vector(0);
    interrupts.set_queue_vector(0, 2);
    interrupts.set_queue_vector(1, 2);
    interrupts.used(0);
    interrupts.used(1);
    interrupts.used(2);
    interrupts.config_changed();
    assert_eq!(signals(&fakes), [1, 0, 2]);
    assert!(!line.high());
    assert_eq!(interrupts.take_isr(), 0, "the isr is for intx");
    interrupts.set_queue_vector(0, 3);
    assert_eq!(interrupts.queue_vector(0), NO_VECTOR, "there is none");
    interrupts.set_queue_vector(5, 1);
    assert_eq!(interrupts.queue_vector(5), NO_VECTOR);
    interrupts.reset();
    assert_eq!(interrupts.queue_vector(1), NO_VECTOR);
    assert_eq!(interrupts.config_vector(), NO_VECTOR);
}

#[test]
fn a_needed_reset_is_signalled_once_and_only_to_a_running_driver() {
    let (interrupts, _msix, _fakes, line) = new();
    interrupts.needs_reset();
    assert_eq!(interrupts.status(), Status::DEVICE_NEEDS_RESET);
    assert!(!line.high(), "nobody listens");
    interrupts.reset();
    assert_eq!(interrupts.status(), Status::empty());

    interrupts.add_status(Status::DRIVER_OK);
    interrupts.needs_reset();
    assert_eq!(interrupts.take_isr(), 2);
    interrupts.needs_reset();
    assert_eq!(interrupts.take_isr(), 0);
    assert!(interrupts.status().contains(Status::DEVICE_NEEDS_RESET));
}

#[test]
fn each_change_of_configuration_is_another_generation() {
    let (interrupts, _msix, _fakes, line) = new();
    for generation in 0..=255 {
        assert_eq!(interrupts.config_generation(), generation);
        interrupts.config_changed();
    }
    assert_eq!(interrupts.config_generation(), 0);
    assert!(!line.high(), "the driver is not up");
}

#[test]
fn the_line_is_never_left_high_for_nothing() {
    let (interrupts, _msix, _fakes, line) = new();
    let worker = {
        let interrupts = Arc::clone(&interrupts);
        thread::spawn(move || (0..20_000).for_each(|_| interrupts.used(0)))
    };
    while !worker.is_finished() {
        interrupts.take_isr();
    }
    worker.join().unwrap();
    assert_eq!(line.high(), interrupts.intx_pending());
    interrupts.take_isr();
    assert!(!line.high());
}

#[test]
fn a_queues_event_follows_its_vector() {
    let (interrupts, mut msix, fakes, _line) = new();
    let events: Vec<_> = (0..2).map(|_| Arc::new(EventFd::new(0).unwrap())).collect();
    let counts = || fakes.iter().map(|fake| fake.attached().len()).collect::<Vec<_>>();
    interrupts.set_queue_vector(0, 1);
    interrupts.attach(0, &events[0]);
    interrupts.attach(1, &events[1]);
    interrupts.attach(9, &events[1]);
    assert_eq!(counts(), [0, 0, 0], "INTx is not the kernel's");
    msix.set_control(MessageControl::new().with_enable(true));
    assert_eq!(counts(), [0, 1, 0], "queue 1 has no vector");
    interrupts.set_queue_vector(1, 1);
    assert_eq!(counts(), [0, 2, 0]);
    interrupts.set_queue_vector(0, 2);
    assert_eq!(counts(), [0, 1, 1]);
    interrupts.attach(0, &events[0]);
    assert_eq!(counts(), [0, 1, 1], "it takes the place of the first");
    interrupts.detach(0);
    interrupts.detach(9);
    assert_eq!(counts(), [0, 1, 0]);
    interrupts.reset();
    assert_eq!(counts(), [0, 0, 0]);
    interrupts.set_queue_vector(1, 0);
    assert_eq!(counts(), [1, 0, 0]);
    interrupts.detach(1);
    assert_eq!(counts(), [0, 0, 0]);
}
