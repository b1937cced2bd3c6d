use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::{super::Cmos, *};
use crate::{
    bus::BusDevice,
    platform::Timer,
    state::{
        SaveState,
        testing::{Access, accesses, carry_over, damage},
    },
    testing::{FakeLine, FakeTimer},
    wakes::Wakes,
};

/// A time in 2026, in seconds since 1970.
const NOW: u64 = 1_798_000_000;

/// The ports, the interrupt line, and the host's clock.
struct Pc(CmosPorts, Arc<FakeLine>, FakeTimer);

impl Pc {
    fn at(now: Duration) -> Self {
        let (irq, clock) = (Arc::new(FakeLine::default()), FakeTimer::new(now));
        Self(CmosPorts::new(Cmos::new(1 << 30, 0), irq.clone(), Box::new(clock.clone())), irq, clock)
    }

    fn new() -> Self {
        Self::at(Duration::from_secs(NOW))
    }

    fn write(&mut self, index: u8, value: u8) {
        let _ = self.0.write(0, &[index]);
        let _ = self.0.write(1, &[value]);
    }

    fn read(&mut self, index: u8) -> u8 {
        let _ = self.0.write(0, &[index]);
        let mut data = [0];
        self.0.read(1, &mut data);
        data[0]
    }

    /// Advances the time, accesses a port, and serves the timer if it is due. Returns everything that is visible.
    fn step(&mut self, millis: u64, access: &Access) -> (Vec<u8>, bool, u32, Option<Duration>) {
        self.2.pass(Duration::from_millis(millis));
        let (_, data) = access.make(&mut self.0);
        if self.2.at().is_some_and(|at| at <= self.2.now()) {
            self.0.on_wakeup();
        }
        (data, self.1.high(), self.1.take_edges(), self.2.at())
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, Access)>> {
    (vec(prop_oneof![0..3_u64, 0..2000_u64, 0..100_000_000_u64], 60), accesses(CmosPorts::LEN, &[1, 2]))
        .prop_map(|(times, accesses)| times.into_iter().zip(accesses).collect())
}

proptest! {
    #[test]
    fn a_clock_goes_on_where_it_was(
        registers in vec((0..14_u8, any::<u8>()), 0..10), before in steps(), after in steps(),
    ) {
        let mut first = Pc::new();
        registers.iter().for_each(|&(index, value)| first.write(index, value));
        before.iter().for_each(|(time, access)| drop(first.step(*time, access)));
        let mut second = Pc::at(first.2.now());
        carry_over(&first.0, &mut second.0);
        first.1.take_edges();
        second.1.take_edges();
        prop_assert_eq!(first.1.high(), second.1.high());
        // A timer that was due is served.
        first.0.on_wakeup();
        second.0.on_wakeup();
        for (time, access) in &after {
            prop_assert_eq!(first.step(*time, access), second.step(*time, access), "{:?}", access);
        }
    }
}

#[test]
fn time_goes_on_while_no_machine_runs_and_a_due_alarm_interrupts() {
    let mut first = Pc::new();
    // Binary, hours to 24, the alarm's interrupt; each minute at the 30th second.
    first.write(0xb, 0x26);
    [(1, 30), (3, 0xff), (5, 0xff)].into_iter().for_each(|(index, value)| first.write(index, value));
    // The guest's clock is an hour behind.
    let hour = first.read(4);
    first.write(4, (hour + 23) % 24);
    first.read(0xc);
    let mut second = Pc::at(Duration::from_secs(NOW + 120));
    let minute = first.read(2);
    carry_over(&first.0, &mut second.0);
    assert!(second.1.high());
    assert_eq!(second.read(0xc) & 0xa0, 0xa0);
    assert!(!second.1.high());
    assert_eq!((second.read(4), second.read(2)), ((hour + 23) % 24, minute + 2));
}

#[test]
fn damaged_states_do_no_harm() {
    let mut pc = Pc::new();
    pc.write(0xb, 0x72);
    pc.write(0x50, 0x99);
    let state = pc.0.save_state().unwrap();
    let clock = FakeTimer::new(Duration::from_secs(NOW));
    let make = || CmosPorts::new(Cmos::new(0, 0), Arc::new(FakeLine::default()), Box::new(clock.clone()));
    damage(&state, make, |ports| {
        for index in (0..128).rev() {
            let _ = ports.write(0, &[index]);
            ports.read(1, &mut [0]);
            let _ = ports.write(1, &[0x77]);
            ports.on_wakeup();
        }
    });
}
