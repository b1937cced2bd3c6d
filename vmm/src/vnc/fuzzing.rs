//! A viewer that sends arbitrary bytes.

use std::sync::{Arc, Mutex, PoisonError};

use devices::{
    display::{Picture, Screen},
    input::{Input, Key, POINTER_MAX, Pointer},
};

use super::{
    authentication::Password,
    session::{Session, Subject},
};

/// An upper bound of one update: the picture's pixels, those of a requested area, and the headers.
const MOST_OUTPUT: usize = 2 * 64 * 48 * 5 + 8192;
/// The most input that a session may keep: the longest message.
const MOST_INPUT: usize = 8192;

/// A session of a viewer: the first byte is odd if it needs a password, then parts of `data` follow, each after a byte with its length.
/// Between them the screen changes, and also its size.
///
/// # Panics
///
/// The session keeps more than one message, or sends more than one update.
pub fn vnc(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let screen = Arc::new(Changing::default());
    screen.change(0);
    let input = Arc::new(Checked);
    let subject = Subject {
        name: "fuzzed".to_owned(),
        password: (first & 1 != 0).then(|| Password::new(b"secret")),
        screen: Arc::clone(&screen) as Arc<dyn Screen>,
        input,
        caps_lock: Arc::default(),
    };
    let mut session = Session::new(Arc::new(subject));
    let mut rest = data;
    while let Some((&len, parts)) = rest.split_first() {
        let (part, others) = parts.split_at(usize::from(len).min(parts.len()));
        rest = others;
        if session.receive(part).is_err() {
            return;
        }
        assert!(session.kept() <= MOST_INPUT, "{}", session.kept());
        screen.change(len);
        if session.wants_update() && session.update().is_err() {
            return;
        }
        assert!(session.output().len() <= MOST_OUTPUT, "{}", session.output().len());
        // The viewer reads a part of the output or all of it.
        let sent = session.output().len().min(usize::from(len) << 6);
        session.sent(sent);
    }
}

/// A screen with few pixels.
#[derive(Debug, Default)]
struct Changing(Mutex<Picture>);

impl Changing {
    fn change(&self, by: u8) {
        let mut picture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = if by & 0x40 == 0 { (64, 48) } else { (40, 33) };
        picture.begin(size.0, size.1);
        let row: Vec<_> = (0..u32::from(size.0)).map(|x| x * u32::from(by & 7)).collect();
        picture.draw_row(u16::from(by & 0x1f), &row);
    }
}

impl Screen for Changing {
    fn look(&self, look: &mut dyn FnMut(&Picture)) {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The guest's input, which checks that only possible values arrive.
#[derive(Debug)]
struct Checked;

impl Input for Checked {
    fn key(&self, key: Key, _: bool) {
        assert_ne!(key, Key(0));
    }

    fn pointer(&self, Pointer { x, y, buttons }: Pointer) {
        assert!(x <= POINTER_MAX && y <= POINTER_MAX && buttons < 0x20);
    }
}
