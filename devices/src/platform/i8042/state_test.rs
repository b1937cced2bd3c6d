use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    bus::{BusDevice, Effect},
    input::{Key, Keys},
    state::{
        SaveState,
        testing::{carry_over, damage, load, saved},
    },
    testing::FakeLine,
};

/// A key press or release, or an access to a port.
#[derive(Clone, Debug)]
enum Step {
    Key(u8, bool),
    Write(u64, u8),
    Read(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = prop_oneof![Just(0_u64), Just(4)];
    let byte = prop_oneof![
        any::<u8>(),
        0xed..=0xff_u8,
        prop::sample::select(vec![0x20, 0x60, 0xd2, 0xd3, 0xd4, 0xad, 0xae, 1, 3])
    ];
    let step = prop_oneof![
        2 => (0..0x60_u8, any::<bool>()).prop_map(|(key, pressed)| Step::Key(key, pressed)),
        1 => (port.clone(), byte).prop_map(|(port, byte)| Step::Write(port, byte)),
        1 => port.prop_map(Step::Read),
    ];
    vec(step, 0..80)
}

fn new() -> (I8042, Arc<FakeLine>) {
    let line = Arc::new(FakeLine::default());
    (I8042::new(line.clone()), line)
}

/// Performs a step. Returns its result, with the line's level and edges.
fn step((controller, line): &mut (I8042, Arc<FakeLine>), step: &Step) -> (Effect, u8, bool, u32) {
    let (mut effect, mut byte) = (Effect::None, [0]);
    match *step {
        Step::Key(key, pressed) => controller.key(Key(key), pressed),
        Step::Write(port, byte) => effect = controller.write(port, &[byte]),
        Step::Read(port) => controller.read(port, &mut byte),
    }
    (effect, byte[0], line.high(), line.take_edges())
}

/// Reads everything that is pending.
fn all(pc: &mut (I8042, Arc<FakeLine>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    while step(pc, &Step::Read(4)).1 & 1 != 0 {
        bytes.push(step(pc, &Step::Read(0)).1);
    }
    bytes
}

proptest! {
    #[test]
    fn a_keyboard_goes_on_where_it_was(before in steps(), after in steps()) {
        let (mut first, mut second) = (new(), new());
        for what in &before {
            let _ = step(&mut first, what);
        }
        let state = carry_over(&first.0, &mut second.0);
        let mut third = new();
        // Release all keys.
        for key in 0..=255 {
            first.0.key(Key(key), false);
        }
        prop_assert_eq!(second.1.high(), first.1.high());
        prop_assert_eq!(saved(&second.0), saved(&first.0));
        prop_assert!(saved(&second.0)["keyboard"]["down"].as_object().unwrap().is_empty());
        first.1.take_edges();
        second.1.take_edges();
        for what in &after {
            prop_assert_eq!(step(&mut first, what), step(&mut second, what), "{:?}", what);
        }
        prop_assert_eq!(all(&mut first), all(&mut second));
        prop_assert!(third.0.load_state(&state).is_ok());
    }
}

#[test]
fn a_key_that_was_down_is_let_go() {
    let (mut first, mut second) = (new(), new());
    first.0.key(Key(0x2a), true);
    assert_eq!(all(&mut first), [0x2a]);
    carry_over(&first.0, &mut second.0);
    assert!(second.1.high());
    assert_eq!(all(&mut second), [0xaa]);
}

#[test]
fn damaged_states_do_no_harm() {
    let (mut controller, _line) = new();
    (1..20).for_each(|key| controller.key(Key(key), true));
    controller.key(Key(1), false);
    let _ = controller.write(4, &[0xd4]);
    let _ = controller.write(0, &[0x55]);
    let _ = controller.write(4, &[0x60]);
    let mut state = controller.save_state().unwrap();
    state.state["keyboard"]["answer"] = json!([0xfa, 0xaa]);
    damage(
        &state,
        || new().0,
        |controller| {
            let mut pc = (std::mem::replace(controller, new().0), Arc::default());
            let _ = step(&mut pc, &Step::Write(4, 0xae));
            for byte in 0..=255 {
                let _ = step(&mut pc, &Step::Write(0, byte));
                let _ = step(&mut pc, &Step::Key(byte, true));
            }
            assert!(all(&mut pc).len() < 20 + 6 * 2 * 256, "there is no end");
        },
    );
    let too_much = "it makes no sense: more bytes wait than there is room for";
    for (place, value) in [
        ("keys", json!(vec![0; 18])),
        ("answer", json!(vec![0; 4])),
        ("late", json!(vec![[0xf0, 1]; 257])),
        ("late", json!([vec![0; 7]])),
        ("down", json!({ "1": vec![0; 7] })),
    ] {
        let mut state = state.state.clone();
        state["keyboard"][place] = value;
        assert_eq!(load(&mut new().0, &state).unwrap_err(), too_much, "{place}");
    }
}
