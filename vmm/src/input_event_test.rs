use std::sync::{Arc, Mutex};

use devices::input::{Keys, Pointing};
use serde_json::json;

use super::*;

/// A keyboard and a tablet that record their events.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Pointer>>, Vec<(Key, bool)>);

impl Pointing for Heard {
    fn pointer(&self, pointer: Pointer) {
        self.0.lock().unwrap().push(pointer);
    }
}

impl Keys for Heard {
    fn key(&mut self, key: Key, pressed: bool) {
        self.1.push((key, pressed));
    }
}

fn events(events: &serde_json::Value) -> InputEvents {
    let events: Vec<InputEvent> = serde_json::from_value(events.clone()).unwrap();
    InputEvents::new(&events).unwrap()
}

#[test]
fn a_click_is_a_move_with_a_press_and_a_release() {
    let (hub, tablet) = (Hub::default(), Arc::new(Heard::default()));
    hub.plug_tablet(&(tablet.clone() as Arc<dyn Pointing>));
    let button = |button, down| json!({"type": "btn", "data": {"button": button, "down": down}});
    let abs = |axis, value| json!({"type": "abs", "data": {"axis": axis, "value": value}});
    let click = json!([abs("x", 5), abs("y", 6), button("left", true), button("left", false), abs("x", 7)]);
    events(&click).send(Some(&hub)).unwrap();
    // The rest stays as it was.
    events(&json!([button("wheel-down", true)])).send(Some(&hub)).unwrap();
    let at = |x, buttons| Pointer { x, y: 6, buttons };
    assert_eq!(*tablet.0.lock().unwrap(), [at(5, 1), at(5, 0), at(7, 0), at(7, 16)]);
    events(&json!([])).send(Some(&hub)).unwrap();
    assert_eq!(tablet.0.lock().unwrap().len(), 4);
}

#[test]
fn keys_go_to_the_keyboard() {
    let (hub, keyboard) = (Hub::default(), Arc::new(Mutex::new(Heard::default())));
    hub.plug_keyboard(&(keyboard.clone() as Arc<Mutex<dyn Keys>>));
    let key = |down| json!({"type": "key", "data": {"key": {"type": "number", "data": 0x1e}, "down": down}});
    events(&json!([key(true), key(false)])).send(Some(&hub)).unwrap();
    assert_eq!(keyboard.lock().unwrap().1, [(Key(0x1e), true), (Key(0x1e), false)]);
}

#[test]
fn a_machine_without_a_screen_has_neither() {
    assert_eq!(events(&json!([])).send(None), Err(InputEventError::NoScreen));
}
