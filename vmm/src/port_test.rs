use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex},
};

use devices::{bus::BusDevice, irq::Line, platform::Serial};

use super::*;
use crate::attached::Attached;

#[derive(Debug)]
struct NoLine;

impl Line for NoLine {
    fn set(&self, _: bool) {}

    fn pulse(&self) {}
}

/// A peer that sends `text`.
#[derive(Debug)]
struct Peer {
    text: Vec<u8>,
    ready: io::PipeReader,
    is_there: Arc<Mutex<bool>>,
}

impl Backend for Peer {
    fn output(&self) -> Option<Output> {
        None
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ready.as_fd())
    }

    fn serve(&mut self, input: &mut Input) {
        let taken = input.push(&self.text);
        self.text.drain(..taken);
    }

    fn waits_for_peer(&self) -> bool {
        !*self.is_there.lock().unwrap()
    }

    fn describe(&self) -> String {
        "a test".to_owned()
    }
}

fn text(len: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(len).collect()
}

fn peer(text: &[u8]) -> (Box<Peer>, Arc<Mutex<bool>>) {
    let is_there = Arc::new(Mutex::new(true));
    let ready = io::pipe().unwrap().0;
    (Box::new(Peer { text: text.to_vec(), ready, is_there: is_there.clone() }), is_there)
}

fn uart() -> Arc<Mutex<Serial>> {
    Arc::new(Mutex::new(Serial::new(Arc::new(NoLine), Box::new(io::sink())).unwrap()))
}

fn runs(port: &mut Port, uart: &Arc<Mutex<Serial>>) {
    let uarts = vec![Attachment::new(0, uart.clone()), Attachment::new(1, self::uart())];
    port.hear(&Notice::Runs(&Attached { uarts, wakers: Vec::new() }));
}

/// Reads as a guest does, while the port is served.
fn read(port: &mut Port, uart: &Mutex<Serial>, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let (mut status, mut byte) = ([0], [0]);
        uart.lock().unwrap().read(5, &mut status);
        if status[0] & 1 == 0 {
            let wakeup = port.uart.as_ref().unwrap().wakeup;
            port.ready(wakeup, &mut Vec::new());
            continue;
        }
        uart.lock().unwrap().read(0, &mut byte);
        all.push(byte[0]);
    }
    all
}

#[test]
fn input_waits_for_a_machine_and_for_the_next_one() {
    let text = text(20_000);
    let (backend, _) = peer(&text);
    let mut port = Port::new(0, backend);
    let backend = port.backend.fd().unwrap().as_raw_fd();
    port.ready(backend, &mut Vec::new());
    assert_eq!(port.input.room(), 0, "the peer keeps the rest");
    let first = uart();
    runs(&mut port, &first);
    // The UART has taken more than that.
    let mut got = read(&mut port, &first, 10_000);
    port.hear(&Notice::Stops);
    assert_eq!(port.watches().len(), 1, "nothing of the machine");
    let second = uart();
    runs(&mut port, &second);
    let rest = text.len() - got.len();
    got.extend(read(&mut port, &second, rest));
    assert!(got == text);
}

#[test]
fn a_uart_that_a_vcpu_has_is_tried_again() {
    let (backend, _) = peer(b"abc");
    let mut port = Port::new(0, backend);
    let (uart, backend) = (uart(), port.backend.fd().unwrap().as_raw_fd());
    runs(&mut port, &uart);
    let vcpu = uart.lock().unwrap();
    port.ready(backend, &mut Vec::new());
    assert!(port.deadline().is_some());
    port.ready(port.uart.as_ref().unwrap().wakeup, &mut Vec::new());
    assert_eq!(port.watches().len(), 1, "the wakeup stays readable until the UART hears of it");
    drop(vcpu);
    while port.deadline().is_some_and(|at| at > Instant::now()) {}
    port.on_time(&mut Vec::new());
    assert_eq!((port.deadline(), port.watches().len()), (None, 2));
    assert_eq!(read(&mut port, &uart, 3), b"abc");
}

#[test]
fn stdin_is_left_alone_until_a_machine_runs() {
    let (backend, _) = peer(b"a kernel");
    let mut port = Port::stdio(0, backend, None);
    assert_eq!(port.watches(), []);
    let uart = uart();
    runs(&mut port, &uart);
    assert_eq!(port.watches().len(), 2);
    assert_eq!(read(&mut port, &uart, 8), b"a kernel");
    port.hear(&Notice::Stops);
    assert_eq!(port.watches().len(), 1, "by now it can't be one");
}

#[test]
fn the_machine_starts_once_the_peer_is_there() {
    let (backend, is_there) = peer(b"");
    *is_there.lock().unwrap() = false;
    let mut port = Port::new(0, backend);
    let backend = port.backend.fd().unwrap().as_raw_fd();
    port.ready(backend, &mut Vec::new());
    assert!(port.waits_for_peer());
    *is_there.lock().unwrap() = true;
    port.ready(backend, &mut Vec::new());
    assert!(!port.waits_for_peer());
}

#[test]
fn text_typed_on_a_port_reaches_its_guest() {
    let (backend, _) = peer(b"");
    let mut port = Port::new(0, backend);
    let uart = uart();
    // As much as a peer would have to wait for.
    let text = text(Input::CAPACITY + 1000);
    port.hear(&Notice::Types { port: 0, text: &text });
    port.hear(&Notice::Types { port: 1, text: b"not here" });
    assert_eq!(port.input.room(), 0);
    runs(&mut port, &uart);
    assert!(read(&mut port, &uart, text.len()) == text);
    port.hear(&Notice::Types { port: 0, text: b"more" });
    assert_eq!(read(&mut port, &uart, 4), b"more");
}
