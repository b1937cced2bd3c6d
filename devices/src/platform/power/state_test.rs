use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    bus::BusDevice,
    platform::Timer,
    state::{
        SaveState,
        testing::{Access, accesses, carry_over, damage, load},
    },
    testing::{FakeLine, FakeTimer},
    wakes::Wakes,
};

struct Pc(PowerManagement, Arc<FakeLine>, FakeTimer);

impl Pc {
    /// The device on a host whose clock shows `seconds`.
    fn new(seconds: u64) -> Self {
        let (sci, clock) = (Arc::new(FakeLine::default()), FakeTimer::new(Duration::from_secs(seconds)));
        Self(PowerManagement::new(sci.clone(), Box::new(clock.clone())), sci, clock)
    }

    fn timer(&mut self) -> u32 {
        let mut data = [0; 4];
        self.0.read(8, &mut data);
        u32::from_le_bytes(data)
    }

    /// Advances the time, makes an access, and serves the timer if it is due. Returns everything that is visible, with the time to the next
    /// carry.
    fn step(&mut self, millis: u64, access: &Access) -> (Vec<u8>, bool, Option<Duration>) {
        self.2.pass(Duration::from_millis(millis));
        let (_, data) = access.make(&mut self.0);
        if self.2.at().is_some_and(|at| at <= self.2.now()) {
            self.0.on_wakeup();
        }
        (data, self.1.high(), self.2.at().map(|at| at.saturating_sub(self.2.now())))
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, Access)>> {
    (vec(prop_oneof![0..3_u64, 0..1_000_000_u64], 60), accesses(PowerManagement::LEN, &[1, 2, 4]))
        .prop_map(|(times, accesses)| times.into_iter().zip(accesses).collect())
}

proptest! {
    #[test]
    fn registers_go_on_where_they_were(before in steps(), button: bool, after in steps()) {
        let mut first = Pc::new(1000);
        before.iter().for_each(|(time, access)| drop(first.step(*time, access)));
        if button {
            first.0.press_power_button_when_enabled();
        }
        // The other host was started later.
        let mut second = Pc::new(3);
        carry_over(&first.0, &mut second.0);
        prop_assert_eq!(first.1.high(), second.1.high());
        prop_assert_eq!(first.timer(), second.timer());
        for (time, access) in &after {
            prop_assert_eq!(first.step(*time, access), second.step(*time, access), "{:?}", access);
        }
        prop_assert_eq!(first.timer(), second.timer());
    }
}

#[test]
fn the_timer_never_goes_back() {
    let mut first = Pc::new(1000);
    first.2.pass(Duration::from_secs(5000));
    let ticks = first.timer();
    for seconds in [0, 1, 1_000_000] {
        let mut second = Pc::new(seconds);
        let mut third = Pc::new(7);
        second.2.pass(Duration::from_secs(9));
        carry_over(&first.0, &mut second.0);
        assert_eq!(second.timer(), ticks);
        second.2.pass(Duration::from_secs(1));
        assert_eq!(second.timer(), ticks + 3_579_545);
        carry_over(&second.0, &mut third.0);
        assert_eq!(third.timer(), ticks + 3_579_545);
    }
}

#[test]
fn damaged_states_do_no_harm() {
    let mut pc = Pc::new(0);
    pc.2.pass(Duration::from_secs(700));
    let _ = pc.0.write(2, &0x101_u16.to_le_bytes());
    let _ = pc.0.write(0, &1_u16.to_le_bytes());
    pc.0.press_power_button();
    let state = pc.0.save_state().unwrap();
    damage(
        &state,
        || Pc::new(u64::from(u32::MAX)).0,
        |pm| {
            pm.read(0, &mut [0; 12]);
            pm.on_wakeup();
            let _ = pm.write(0, &[0xff; 12]);
            pm.press_power_button();
        },
    );
    let mut state = state.state;
    state["carries"] = 2.into();
    assert_eq!(
        load(&mut Pc::new(0).0, &state).unwrap_err(),
        "it makes no sense: carries of the PM timer that are still to come"
    );
}
