use serde_json::json;

use super::*;

/// A device with a state of two numbers, the first of which is below 8.
#[derive(Debug, Default, PartialEq)]
struct Fake(u8, u16);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeState {
    small: u8,
    large: u16,
}

impl Stateful for Fake {
    const VERSION: u32 = 3;

    type State = FakeState;

    fn save(&self) -> Result<FakeState, StateError> {
        Ok(FakeState { small: self.0, large: self.1 })
    }

    fn load(&mut self, FakeState { small, large }: FakeState) -> Result<(), StateError> {
        if small >= 8 {
            return Err(StateError::Nonsense("a large small number"));
        }
        *self = Self(small, large);
        Ok(())
    }
}

#[derive(Debug)]
struct Nothing;

impl Stateless for Nothing {}

fn load(version: u32, state: Value) -> Result<Fake, String> {
    let mut fake = Fake::default();
    fake.load_state(&DeviceState { version, state }).map_err(|error| match &error {
        StateError::Form(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    })?;
    Ok(fake)
}

#[test]
fn a_state_has_its_version_and_its_form() {
    let good = json!({ "small": 7, "large": 512 });
    assert_eq!(Fake(7, 512).save_state().unwrap(), DeviceState { version: 3, state: good.clone() });
    assert_eq!(load(3, good.clone()), Ok(Fake(7, 512)));
    assert_eq!(load(4, good).unwrap_err(), "its state has version 4, and this nvmm knows version 3");
    assert_eq!(
        load(3, json!({ "small": 8, "large": 0 })).unwrap_err(),
        "it makes no sense: a large small number"
    );
    for (state, expected) in [
        (json!({ "small": 7 }), "missing field `large`"),
        (json!({ "small": 256, "large": 0 }), "invalid value: integer `256`, expected u8"),
        (json!({ "small": 7, "large": 0, "other": 1 }), "unknown field `other`, expected `small` or `large`"),
    ] {
        let expected = format!("its state is not in the form of this device's: {expected}");
        assert_eq!(load(3, state).unwrap_err(), expected);
    }
}

#[test]
fn a_device_without_state_says_so() {
    let saved = Nothing.save_state().unwrap();
    assert_eq!(saved, DeviceState { version: 1, state: Value::Null });
    Nothing.load_state(&saved).unwrap();
    assert!(Nothing.load_state(&DeviceState { state: json!({}), ..saved }).is_err());
}
