use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    bus::BusDevice,
    state::{
        SaveState,
        testing::{Access, accesses, carry_over, damage},
    },
    testing::FakeLine,
    wakes::Wakes,
};

/// An access, input of this many bytes, or the timer's expiry.
#[derive(Clone, Debug)]
enum Step {
    Access(Access),
    Input(u8, usize),
    Wakeup,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let others = prop_oneof![
        (any::<u8>(), 0..80_usize).prop_map(|(byte, len)| Step::Input(byte, len)),
        Just(Step::Wakeup)
    ];
    (accesses(Serial::LEN, &[1, 2]), vec(others, 60)).prop_map(|(accesses, others)| {
        accesses
            .into_iter()
            .map(Step::Access)
            .zip(others)
            .flat_map(|(access, other)| [access, other])
            .collect()
    })
}

fn new() -> (Serial, Arc<FakeLine>) {
    let irq = Arc::new(FakeLine::default());
    (Serial::new(irq.clone(), Box::new(io::sink())).unwrap(), irq)
}

/// Performs a step. Returns its result, with the edges of the interrupt line.
fn step((serial, irq): &mut (Serial, Arc<FakeLine>), step: &Step) -> (Vec<u8>, usize, u32, bool) {
    let (mut data, mut accepted) = (Vec::new(), 0);
    match step {
        Step::Access(access) => (_, data) = access.make(serial),
        Step::Input(byte, len) => accepted = serial.input(&vec![*byte; *len]),
        Step::Wakeup => serial.on_wakeup(),
    }
    (data, accepted, irq.take_edges(), serial.timing)
}

proptest! {
    /// The input is neither lost nor duplicated, whenever the port is saved.
    #[test]
    fn a_port_goes_on_where_it_was(before in steps(), after in steps()) {
        let (mut first, mut second) = (new(), new());
        before.iter().for_each(|what| drop(step(&mut first, what)));
        // The new port's back end offers its input again by itself.
        first.0.input_refused = false;
        first.0.wake_in(if first.0.left_some || first.0.reading { TIME_OUT } else { super::super::NEVER });
        carry_over(&first.0, &mut second.0);
        prop_assert_eq!(second.1.take_edges(), 0);
        for what in &after {
            prop_assert_eq!(step(&mut first, what), step(&mut second, what), "{:?}", what);
        }
        prop_assert_eq!(first.0.take_back(), second.0.take_back());
    }
}

#[test]
fn damaged_states_do_no_harm() {
    let (mut serial, _irq) = new();
    let write = |serial: &mut Serial, register, value| {
        let _ = serial.write(register, &[value]);
    };
    write(&mut serial, 1, 3);
    serial.input(b"text");
    serial.read(0, &mut [0]);
    write(&mut serial, 3, 0x83);
    write(&mut serial, 4, 0x1b);
    let state = serial.save_state().unwrap();
    damage(
        &state,
        || new().0,
        |serial| {
            for register in 0..Serial::LEN {
                serial.read(register, &mut [0]);
                write(serial, register, 0x55);
            }
            serial.on_wakeup();
            assert!(serial.take_back().len() <= 64);
        },
    );
}

#[test]
fn its_output_goes_to_the_sink_of_the_new_port() {
    let (first, _irq) = new();
    let (sender, sent) = std::sync::mpsc::channel();
    let irq = Arc::new(FakeLine::default());
    let mut second = Serial::new(irq, Box::new(Sent(sender))).unwrap();
    carry_over(&first, &mut second);
    let _ = second.write(0, b"x");
    assert_eq!(sent.recv().unwrap(), b"x");
}

struct Sent(std::sync::mpsc::Sender<Vec<u8>>);

impl io::Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
