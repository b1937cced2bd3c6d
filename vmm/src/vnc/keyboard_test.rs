use super::{
    super::test_viewer::{
        Heard::{self, Key as K, Pointer as P},
        TestInput,
    },
    *,
};

const SHIFT: u8 = 0x2a;
const SHIFT_R: u32 = 0xffe2;
const SHIFT_L: u32 = 0xffe1;
const CAPS: u32 = 0xffe5;

struct Viewer {
    input: Arc<TestInput>,
    keyboard: Keyboard,
}

impl Viewer {
    fn new() -> Self {
        let input = Arc::new(TestInput::default());
        let keyboard = Keyboard::new(Arc::clone(&input) as Arc<dyn Input>, Arc::default());
        Self { input, keyboard }
    }

    /// Presses keysyms, and releases negative ones.
    fn keysyms(&mut self, keysyms: &[i64]) -> Vec<Heard> {
        for keysym in keysyms {
            self.keyboard.keysym(u32::try_from(keysym.abs()).unwrap(), *keysym > 0);
        }
        self.input.heard()
    }
}

fn c(character: char) -> i64 {
    i64::from(u32::from(character))
}

#[test]
fn keys_are_pressed_and_let_go_by_their_places() {
    let mut viewer = Viewer::new();
    for (code, pressed) in [(0x1e, true), (0x1e, true), (0x1e, false), (0x1e, false), (0x9d, true)] {
        viewer.keyboard.code(code, pressed);
    }
    // A held key repeats; a key that is not held is not released.
    let expected = [K(0x1e, true), K(0x1e, true), K(0x1e, false), K(0x9d, true)];
    assert_eq!(viewer.input.heard(), expected);
    for code in [0, 0x100, 0xe01d, u32::MAX] {
        viewer.keyboard.code(code, true);
    }
    assert_eq!(viewer.input.heard(), []);
}

#[test]
fn shift_is_pressed_for_a_character_that_needs_it() {
    let mut viewer = Viewer::new();
    assert_eq!(viewer.keysyms(&[c('a'), -c('a')]), [K(0x1e, true), K(0x1e, false)]);
    let expected = [K(SHIFT, true), K(0x1e, true), K(SHIFT, false), K(0x1e, false)];
    assert_eq!(viewer.keysyms(&[c('A'), -c('A')]), expected);
    // The viewer's own Shift is enough.
    let held = viewer.keysyms(&[SHIFT_R.into(), c('!'), -c('!'), -i64::from(SHIFT_R)]);
    assert_eq!(held, [K(0x36, true), K(2, true), K(2, false), K(0x36, false)]);
    // German: Shift and 7 is a slash, which needs none here.
    let held = viewer.keysyms(&[SHIFT_L.into(), c('/'), -c('/'), -i64::from(SHIFT_L)]);
    let without = [K(SHIFT, false), K(0x35, true), K(SHIFT, true)];
    assert_eq!(held, [&[K(SHIFT, true)][..], &without, &[K(0x35, false), K(SHIFT, false)]].concat());
}

#[test]
fn caps_lock_is_all_that_capitals_need() {
    let mut viewer = Viewer::new();
    let caps = [K(0x3a, true), K(0x3a, false)];
    assert_eq!(viewer.keysyms(&[CAPS.into(), -i64::from(CAPS)]), caps);
    assert_eq!(viewer.keysyms(&[c('A'), -c('A')]), [K(0x1e, true), K(0x1e, false)]);
    assert_eq!(viewer.keysyms(&[c('!'), -c('!')])[0], K(SHIFT, true));
    assert_eq!(viewer.keysyms(&[c('a'), -c('a')])[0], K(SHIFT, true));
    assert_eq!(viewer.keysyms(&[CAPS.into(), -i64::from(CAPS)]), caps);
    assert_eq!(viewer.keysyms(&[c('a'), -c('a')])[0], K(0x1e, true));
}

#[test]
fn a_key_is_let_go_though_its_character_has_changed() {
    let mut viewer = Viewer::new();
    // German again, where Shift is released first.
    viewer.keysyms(&[SHIFT_L.into(), c('/'), -i64::from(SHIFT_L)]);
    assert_eq!(viewer.keysyms(&[-c('7')]), [K(0x35, false)]);
    // The same key also has another character here.
    viewer.keysyms(&[SHIFT_L.into(), c('!'), c('a'), -i64::from(SHIFT_L)]);
    assert_eq!(viewer.keysyms(&[-c('1'), -c('a')]), [K(2, false), K(0x1e, false)]);
    // With two held keys, it is unknown which one is meant.
    viewer.keysyms(&[c('a'), c('b')]);
    assert_eq!(viewer.keysyms(&[-c('7')]), []);
}

#[test]
fn held_keys_are_released_when_the_viewer_disconnects() {
    let Viewer { input, mut keyboard } = Viewer::new();
    keyboard.keysym(0xffe3, true);
    keyboard.code(0x38, true);
    keyboard.pointer(0xe1, (99, 0), (100, 50));
    input.heard();
    drop(keyboard);
    let released = Pointer { x: POINTER_MAX, y: 0, buttons: 0 };
    assert_eq!(input.heard(), [K(0x1d, false), K(0x38, false), P(released)]);
}

#[test]
fn the_pointer_reaches_each_edge() {
    let mut viewer = Viewer::new();
    for ((x, y), size, expected) in [
        ((0, 0), (1280, 800), (0, 0)),
        ((1279, 799), (1280, 800), (POINTER_MAX, POINTER_MAX)),
        ((u16::MAX, 5), (1280, 11), (POINTER_MAX, POINTER_MAX / 2)),
        ((7, 7), (1, 0), (POINTER_MAX, POINTER_MAX)),
        ((0, 0), (1, 0), (0, 0)),
    ] {
        viewer.keyboard.pointer(0xff, (x, y), size);
        let (x, y) = expected;
        assert_eq!(viewer.input.heard(), [P(Pointer { x, y, buttons: 0x1f })]);
    }
}
