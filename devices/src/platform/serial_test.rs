use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::testing::FakeLine;

const IER: u64 = 1;
const IIR: u64 = 2;
const LSR: u64 = 5;

/// A sink whose answers are set by the test.
#[derive(Clone, Default)]
struct Sink {
    bytes: Arc<Mutex<Vec<u8>>>,
    error: Arc<Mutex<Option<io::ErrorKind>>>,
    writes: Arc<AtomicUsize>,
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    fn fail_with(&self, error: Option<io::ErrorKind>) {
        *self.error.lock().unwrap() = error;
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = *self.error.lock().unwrap() {
            return Err(error.into());
        }
        // A sink may take less than it is offered.
        let taken = bytes.len().div_ceil(2);
        self.bytes.lock().unwrap().extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn new() -> (Serial, Arc<FakeLine>, Sink) {
    let (irq, sink) = (Arc::new(FakeLine::default()), Sink::default());
    (Serial::new(irq.clone(), Box::new(sink.clone())).unwrap(), irq, sink)
}

fn print(serial: &mut Serial, text: &str) {
    for byte in text.bytes() {
        assert_eq!(serial.write(0, &[byte]), Effect::None);
    }
}

fn read(serial: &mut Serial, offset: u64) -> u8 {
    let mut data = [0];
    serial.read(offset, &mut data);
    data[0]
}

fn awake_within(serial: &Serial, milliseconds: i64) -> bool {
    let fd = serial.wakeup();
    let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

#[test]
fn output_goes_out_together_and_soon() {
    let (mut serial, _irq, sink) = new();
    assert!(!awake_within(&serial, 0));
    print(&mut serial, "login: ");
    assert_eq!(sink.text(), "");
    assert!(awake_within(&serial, 900));
    serial.flush();
    assert_eq!(sink.text(), "login: ");
    assert!(!awake_within(&serial, 30));
    print(&mut serial, "x");
    assert!(awake_within(&serial, 900), "and again");
}

#[test]
fn much_output_does_not_wait() {
    let (mut serial, _irq, sink) = new();
    let text = "0123456789abcdef".repeat(1000);
    print(&mut serial, &text);
    let sent = sink.text().len();
    assert!(text.len() - sent <= 4096);
    assert!(sink.writes.load(Ordering::Relaxed) < 100);
    drop(serial);
    assert_eq!(sink.text(), text, "all of it, in order, nothing left when dropped");
}

#[test]
fn a_broken_sink_loses_output_and_may_recover() {
    let (mut serial, _irq, sink) = new();
    sink.fail_with(Some(io::ErrorKind::BrokenPipe));
    print(&mut serial, &"lost".repeat(5000));
    serial.flush();
    assert_eq!(read(&mut serial, LSR) & 0x60, 0x60, "the guest can go on");
    sink.fail_with(None);
    print(&mut serial, "back");
    serial.flush();
    assert_eq!(sink.text(), "back");
}

#[test]
fn a_sink_that_would_block_is_asked_again() {
    let (mut serial, _irq, sink) = new();
    sink.fail_with(Some(io::ErrorKind::WouldBlock));
    print(&mut serial, "kept");
    serial.flush();
    assert!(awake_within(&serial, 900));
    print(&mut serial, &"x".repeat(10_000));
    sink.fail_with(None);
    serial.flush();
    let text = sink.text();
    assert!(text.starts_with("keptx"));
    assert_eq!(text.len(), 4096, "no more than was kept");
}

#[test]
fn interrupted_writes_are_repeated() {
    struct Interrupted(Sink, bool);
    impl Write for Interrupted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.write(bytes) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let mut serial =
        Serial::new(Arc::new(FakeLine::default()), Box::new(Interrupted(sink.clone(), false))).unwrap();
    print(&mut serial, "hello");
    serial.flush();
    assert_eq!(sink.text(), "hello");
}

#[test]
fn input_interrupts_and_asks_for_more_when_read() {
    let (mut serial, irq, _sink) = new();
    assert_eq!(serial.write(IER, &[1]), Effect::None);
    assert_eq!(irq.take_edges(), 0);
    let text = [b'a'; 100];
    let accepted = serial.input(&text);
    assert!(accepted > 0 && accepted < text.len());
    assert_eq!(irq.take_edges(), 1);
    assert!(!irq.high(), "an edge, not a level");
    assert_eq!(read(&mut serial, IIR) & 0xf, 4, "received data available");
    assert_eq!(serial.input(&text), 0, "full");
    for left in (0..accepted).rev() {
        assert!(!awake_within(&serial, 0));
        assert_eq!(read(&mut serial, LSR) & 1, 1);
        assert_eq!(read(&mut serial, 0), b'a', "{left} left");
    }
    assert_eq!(read(&mut serial, LSR) & 1, 0);
    assert!(awake_within(&serial, 900));
    serial.flush();
    assert!(!awake_within(&serial, 0));
    assert_eq!(serial.input(b"b"), 1);
    assert_eq!(read(&mut serial, 0), b'b');
    assert!(!awake_within(&serial, 20), "nothing was refused");
}

#[test]
fn the_wish_for_input_outlasts_a_burst_of_output() {
    let (mut serial, _irq, sink) = new();
    let accepted = serial.input(&[b'a'; 100]);
    assert!(accepted < 100);
    for _ in 0..accepted {
        read(&mut serial, 0);
    }
    assert!(awake_within(&serial, 900));
    print(&mut serial, &"x".repeat(10_000));
    assert!(awake_within(&serial, 0), "sending a batch did not take it for seen");
    sink.fail_with(Some(io::ErrorKind::WouldBlock));
    print(&mut serial, &"x".repeat(10_000));
    assert!(awake_within(&serial, 0), "nor did trying to");
}

#[test]
fn of_two_interrupts_the_first_is_shown_first() {
    let (mut serial, irq, _sink) = new();
    assert_eq!(serial.write(IER, &[3]), Effect::None);
    assert_eq!(read(&mut serial, IIR), 0xc2, "the transmitter is empty");
    assert_eq!(read(&mut serial, IIR), 0xc1, "and that is acknowledged");
    print(&mut serial, "x");
    assert_eq!(serial.input(b"y"), 1);
    irq.take_edges();
    assert_eq!(read(&mut serial, IIR), 0xc4);
    assert!(irq.take_edges() > 0, "the other is still to come");
    assert_eq!(read(&mut serial, 0), b'y');
    assert_eq!(read(&mut serial, IIR), 0xc2);
    assert_eq!(read(&mut serial, IIR), 0xc1);
}

#[test]
fn loopback_refuses_input_until_it_ends() {
    let (mut serial, _irq, sink) = new();
    assert_eq!(serial.write(4, &[0x10]), Effect::None);
    print(&mut serial, "x");
    assert_eq!(serial.input(b"typed"), 0);
    assert_eq!(read(&mut serial, 0), b'x');
    assert_eq!(serial.write(4, &[0x0b]), Effect::None);
    assert!(awake_within(&serial, 900));
    serial.flush();
    assert_eq!(serial.input(b"typed"), 5);
    assert_eq!(sink.text(), "", "nothing went out");
}

#[test]
fn wide_accesses_reach_one_register_after_another() {
    let (mut serial, _irq, _sink) = new();
    assert_eq!(serial.write(6, &[0, 0x5a, 0xff]), Effect::None);
    let mut data = [0; 4];
    serial.read(6, &mut data);
    assert_eq!(data[1..], [0x5a, 0xff, 0xff], "scratch, then past the end");
    serial.read(u64::MAX, &mut data);
    assert_eq!(data, [0xff; 4]);
}
