use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::testing::FakeLine;

const IER: u64 = 1;
const IIR: u64 = 2;
const LCR: u64 = 3;
const LSR: u64 = 5;

/// An output that keeps its bytes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn new() -> (Serial, Arc<FakeLine>, Kept) {
    let (irq, sink) = (Arc::new(FakeLine::default()), Kept::default());
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
fn output_goes_to_the_sink() {
    let (mut serial, _irq, sink) = new();
    print(&mut serial, "login: ");
    assert_eq!(sink.text(), "login: ");
    assert_eq!(read(&mut serial, LSR) & 0x60, 0x60, "and there is always room for more");
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
        assert_eq!(read(&mut serial, LSR) & 1, 1);
        assert_eq!(read(&mut serial, IIR), 0xc4, "as long as there is data");
        assert_eq!(read(&mut serial, 0), b'a', "{left} left");
    }
    assert_eq!(read(&mut serial, LSR) & 1, 0);
    assert!(awake_within(&serial, 900));
    assert_eq!(read(&mut serial, IIR), 0xc1);
    serial.on_wakeup();
    assert!(!awake_within(&serial, 0));
    assert_eq!(serial.input(b"b"), 1);
    assert_eq!(read(&mut serial, 0), b'b');
    assert!(!awake_within(&serial, 20), "nothing was refused");
}

#[test]
fn of_two_interrupts_the_first_is_shown_first() {
    let (mut serial, irq, _sink) = new();
    assert_eq!(serial.write(IER, &[3]), Effect::None);
    assert_eq!(irq.take_edges(), 1);
    assert_eq!(read(&mut serial, IIR), 0xc2, "the transmitter is empty");
    assert_eq!(read(&mut serial, IIR), 0xc1, "and that is acknowledged");
    print(&mut serial, "x");
    assert_eq!(irq.take_edges(), 1);
    assert_eq!(serial.input(b"y"), 1);
    assert_eq!(irq.take_edges(), 1);
    assert_eq!(read(&mut serial, IIR), 0xc4);
    assert_eq!(read(&mut serial, IIR), 0xc4, "reading it acknowledges no data");
    assert_eq!(read(&mut serial, 0), b'y');
    assert_eq!(read(&mut serial, IIR), 0xc2);
    assert_eq!(read(&mut serial, IIR), 0xc1);
}

#[test]
fn a_driver_that_stops_reading_is_interrupted_again() {
    let (mut serial, irq, _sink) = new();
    assert_eq!(serial.write(IER, &[1]), Effect::None);
    let text = [b'a'; 100];
    let accepted = serial.input(&text);
    assert_eq!(irq.take_edges(), 1);
    for _ in 0..accepted / 2 {
        read(&mut serial, 0);
    }
    assert_eq!(irq.take_edges(), 0, "it is reading");
    // The driver may have read until shortly before the timer expired the first time.
    for _ in 0..2 {
        assert!(awake_within(&serial, 900));
        serial.on_wakeup();
    }
    assert_eq!(irq.take_edges(), 1);
    assert!(!awake_within(&serial, 50), "once is enough");
    assert_eq!(read(&mut serial, IIR), 0xc4);
    assert_eq!(serial.input(&text), accepted / 2, "there is room");
    assert_eq!(irq.take_edges(), 1, "and more data is news");
}

#[test]
fn enabling_interrupts_shows_what_is_pending() {
    let (mut serial, irq, _sink) = new();
    assert_eq!(serial.input(b"ab"), 2);
    assert_eq!(irq.take_edges(), 0);
    // Linux does this around each message: off and on again.
    for _ in 0..3 {
        assert_eq!(serial.write(IER, &[1]), Effect::None);
        assert_eq!(irq.take_edges(), 1);
        assert_eq!(read(&mut serial, IIR), 0xc4);
        assert_eq!(serial.write(IER, &[0]), Effect::None);
        assert_eq!(read(&mut serial, IIR), 0xc1);
    }
    // Linux considers a transmitter broken that doesn't report again that it is empty.
    for _ in 0..2 {
        assert_eq!(serial.write(IER, &[2]), Effect::None);
        assert_eq!(irq.take_edges(), 1);
        assert_eq!(read(&mut serial, IIR), 0xc2);
        assert_eq!(serial.write(IER, &[0]), Effect::None);
    }
}

#[test]
fn the_divisor_is_no_data_and_no_enable_register() {
    let (mut serial, irq, sink) = new();
    assert_eq!(serial.write(IER, &[1]), Effect::None);
    assert_eq!(serial.input(b"ab"), 2);
    irq.take_edges();
    assert_eq!(serial.write(LCR, &[0x83]), Effect::None);
    assert_eq!(serial.write(0, &[1]), Effect::None);
    assert_eq!(serial.write(IER, &[0]), Effect::None);
    assert_eq!((read(&mut serial, 0), read(&mut serial, IER)), (1, 0));
    assert_eq!(serial.write(LCR, &[3]), Effect::None);
    assert_eq!(read(&mut serial, IER), 1);
    assert_eq!(read(&mut serial, IIR), 0xc4);
    assert_eq!((read(&mut serial, 0), read(&mut serial, 0)), (b'a', b'b'));
    assert_eq!((irq.take_edges(), sink.text().as_str()), (0, ""));
}

proptest! {
    /// For any actions of a driver, IIR shows data as long as LSR does and IER enables it, and no received byte is lost.
    #[test]
    fn a_driver_by_interrupts_gets_everything(
        texts in prop::collection::vec((1..200_usize, 1..100_usize, any::<bool>()), 1..20),
    ) {
        let (mut serial, irq, _sink) = new();
        let _ = serial.write(IER, &[1]);
        let (mut sent, mut got) = (0_usize, 0_usize);
        for (len, at_most, masks) in texts {
            let text: Vec<_> = (0..251_u8).cycle().skip(sent % 251).take(len).collect();
            sent += serial.input(&text);
            if masks {
                let _ = serial.write(IER, &[0]);
                let _ = serial.write(IER, &[1]);
            }
            // A handler that reads a part, and does nothing until the next interrupt.
            while irq.take_edges() > 0 {
                for _ in 0..at_most {
                    let ready = read(&mut serial, LSR) & 1;
                    prop_assert_eq!(read(&mut serial, IIR), if ready == 1 { 0xc4 } else { 0xc1 });
                    if ready == 0 {
                        break;
                    }
                    prop_assert_eq!(usize::from(read(&mut serial, 0)), got % 251);
                    got += 1;
                }
                // The time-out, twice: the first may come while it reads.
                serial.on_wakeup();
                serial.on_wakeup();
            }
            prop_assert_eq!(got, sent);
        }
    }
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
    serial.on_wakeup();
    assert_eq!(serial.input(b"typed"), 5);
    assert_eq!(sink.text(), "", "nothing went out");
}

#[test]
fn unread_input_can_be_taken_back() {
    let (mut serial, _irq, _sink) = new();
    assert_eq!(serial.input(b"abcdef"), 6);
    assert_eq!(read(&mut serial, 0), b'a');
    assert_eq!(serial.write(LCR, &[0x83]), Effect::None);
    assert_eq!(serial.take_back(), b"bcdef");
    assert_eq!((read(&mut serial, LCR), read(&mut serial, LSR) & 1), (0x83, 0));
    assert!(serial.take_back().is_empty());
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
