use super::*;

/// A keyboard that records its keys.
#[derive(Debug, Default)]
struct Keyboard(Vec<(Key, bool)>);

impl Keys for Keyboard {
    fn key(&mut self, key: Key, pressed: bool) {
        self.0.push((key, pressed));
    }
}

#[test]
fn keys_go_to_the_machine_that_is_there() {
    let (hub, a, b) = (Hub::default(), Key(0x1e), Key(0x30));
    // There is no machine yet.
    hub.key(a, true);
    hub.pointer(Pointer::default());
    let [first, second] = [(); 2].map(|()| Arc::new(Mutex::new(Keyboard::default())));
    hub.plug_keyboard(&(first.clone() as Arc<Mutex<dyn Keys>>));
    hub.key(a, true);
    hub.plug_keyboard(&(second.clone() as Arc<Mutex<dyn Keys>>));
    hub.key(a, false);
    assert_eq!(first.lock().unwrap().0, [(a, true)]);
    assert_eq!(second.lock().unwrap().0, [(a, false)]);
    // A machine that is gone receives no keys.
    drop(second);
    hub.key(b, true);
    assert_eq!(first.lock().unwrap().0.len(), 1);
}

/// A tablet that records its events.
#[derive(Debug, Default)]
struct Tablet(Mutex<Vec<Pointer>>);

impl Pointing for Tablet {
    fn pointer(&self, pointer: Pointer) {
        self.0.lock().unwrap().push(pointer);
    }
}

#[test]
fn the_pointer_goes_to_the_machine_that_is_there() {
    let hub = Hub::default();
    let at = |x| Pointer { x, y: 2, buttons: Pointer::LEFT };
    assert_eq!(hub.last_pointer(), Pointer::default());
    hub.pointer(at(1));
    let [first, second] = [(); 2].map(|()| Arc::new(Tablet::default()));
    hub.plug_tablet(&(first.clone() as Arc<dyn Pointing>));
    hub.pointer(at(2));
    hub.plug_tablet(&(second.clone() as Arc<dyn Pointing>));
    hub.pointer(at(3));
    assert_eq!(*first.0.lock().unwrap(), [at(2)]);
    assert_eq!(*second.0.lock().unwrap(), [at(3)]);
    drop(second);
    hub.pointer(at(4));
    assert_eq!(first.0.lock().unwrap().len(), 1);
    assert_eq!(hub.last_pointer(), at(4));
}
