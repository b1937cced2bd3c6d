//! Ways in which tests carry states from one device to another, and damage them on the way.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{DeviceState, SaveState, StateError, Stateful};
use crate::bus::{BusDevice, Effect};

/// An access to a device's registers.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) writes: bool,
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
}

impl Access {
    /// Makes the access. Returns its result.
    pub(crate) fn make(&self, device: &mut impl BusDevice) -> (Effect, Vec<u8>) {
        let mut data = self.data.clone();
        if self.writes {
            return (device.write(self.offset, &data), data);
        }
        device.read(self.offset, &mut data);
        (Effect::None, data)
    }
}

/// Accesses to `len` bytes of registers, with these widths.
pub(crate) fn accesses(len: u64, widths: &'static [usize]) -> impl Strategy<Value = Vec<Access>> {
    let value = prop_oneof![any::<u64>(), 0_u64..16, Just(0x80), Just(u64::MAX)];
    let access = (any::<bool>(), 0..len, select(widths), value);
    let access = access.prop_map(|(writes, offset, width, value)| Access {
        writes,
        offset,
        data: value.to_le_bytes()[..width].to_vec(),
    });
    vec(access, 0..60)
}

/// The state of a device, without its version.
pub(crate) fn saved(device: &impl SaveState) -> Value {
    device.save_state().unwrap().state
}

/// Makes a device load a state of its version. An error is returned as text.
pub(crate) fn load<D: Stateful>(device: &mut D, state: &Value) -> Result<(), String> {
    let state = DeviceState { version: D::VERSION, state: state.clone() };
    device.load_state(&state).map_err(|error| match &error {
        StateError::Form(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    })
}

/// Makes `to` load the state of `from`, through a file's text.
pub(crate) fn carry_over(from: &impl SaveState, to: &mut impl SaveState) -> DeviceState {
    let saved = from.save_state().unwrap();
    let text = serde_json::to_string(&saved).unwrap();
    let read: DeviceState = serde_json::from_str(&text).unwrap();
    to.load_state(&read).unwrap();
    saved
}

/// Damages `state` in every place, loads each result into a device that `make` creates, and runs `drive` on those that accept it. Their own
/// state must then be loadable by another device.
pub(crate) fn damage<D: SaveState>(
    state: &DeviceState,
    mut make: impl FnMut() -> D,
    mut drive: impl FnMut(&mut D),
) {
    let (mut refused, mut taken) = (0, 0);
    for damaged in damaged(&state.state) {
        let damaged = DeviceState { state: damaged, ..*state };
        let mut device = make();
        if device.load_state(&damaged).is_err() {
            refused += 1;
            continue;
        }
        taken += 1;
        let again = device.save_state();
        drive(&mut device);
        if let Ok(again) = again {
            make().load_state(&again).unwrap_or_else(|error| panic!("{damaged:?}: {error:?}"));
        }
    }
    assert!(refused > 0, "every state is taken up, and {taken} were tried");
    let other_version = DeviceState { version: state.version + 1, ..state.clone() };
    assert!(make().load_state(&other_version).is_err());
    assert!(make().load_state(state).is_ok());
}

/// `value`, each with one place of it changed.
pub(crate) fn damaged(value: &Value) -> Vec<Value> {
    let mut all = vec![Value::Null, json!({}), json!([]), json!("text"), json!(7)];
    match value {
        Value::Null => all.extend([json!(true), json!(-1)]),
        Value::Bool(bool) => all.push((!bool).into()),
        Value::Number(_) => {
            let extremes =
                [0, 1, 3, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, u64::MAX / 2, u64::MAX];
            all.extend(extremes.map(Value::from));
            all.extend([json!(-1), json!(i64::MIN), json!(0.5), json!(1e300)]);
        }
        Value::String(text) => {
            let len = text.len() / 2 * 2;
            all.extend([json!(""), json!("ff".repeat(len / 2)), json!("00".repeat(len / 2)), json!("f")]);
            all.extend([json!(format!("{text}00")), json!("00".repeat(10_000))]);
        }
        Value::Array(items) => {
            all.extend(items.first().map(|item| json!(vec![item; 300])));
            all.push(items.iter().chain(items.last()).cloned().collect());
            all.push(items.iter().skip(1).cloned().collect());
            for (at, item) in items.iter().enumerate() {
                for damaged in damaged(item) {
                    let mut items = items.clone();
                    items[at] = damaged;
                    all.push(items.into());
                }
            }
        }
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("more".to_owned(), json!(0));
            all.push(more.into());
            for (key, member) in members {
                let mut fewer = members.clone();
                fewer.remove(key);
                all.push(fewer.into());
                for damaged in damaged(member) {
                    let mut members = members.clone();
                    members.insert(key.clone(), damaged);
                    all.push(members.into());
                }
            }
        }
    }
    all.retain(|damaged| damaged != value);
    all
}
