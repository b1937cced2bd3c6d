use std::sync::Mutex;

use super::*;
use crate::{input::Pointer, testing::FakeTimer};

const SHIFT: Key = Key(0x2a);
const A: Key = Key(0x1e);
const B: Key = Key(0x30);
const HOLD: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Keys(Mutex<Vec<(Key, bool)>>);

impl Input for Keys {
    fn key(&self, key: Key, pressed: bool) {
        self.0.lock().unwrap().push((key, pressed));
    }

    fn pointer(&self, _pointer: Pointer) {}
}

impl Keys {
    fn take(&self) -> Vec<(Key, bool)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn typist() -> (Arc<Keys>, FakeTimer, Typist) {
    let (keys, timer) = (Arc::new(Keys::default()), FakeTimer::new(Duration::from_secs(7)));
    let typist = Typist::new(keys.clone(), Box::new(timer.clone()));
    (keys, timer, typist)
}

/// Advances the time until the timer is due.
fn wait(timer: &FakeTimer, typist: &mut Typist) -> Duration {
    let time = timer.at().unwrap() - timer.now();
    timer.pass(time);
    typist.on_wakeup();
    time
}

#[test]
fn keys_are_held_and_let_go_in_the_reverse_order() {
    let (keys, timer, mut typist) = typist();
    typist.press(&[SHIFT, A], HOLD).unwrap();
    assert_eq!(keys.take(), [(SHIFT, true)]);
    // Woken too early, it does nothing.
    typist.on_wakeup();
    assert_eq!(keys.take(), []);
    assert_eq!((wait(&timer, &mut typist), keys.take()), (PAUSE, vec![(A, true)]));
    assert_eq!((wait(&timer, &mut typist), keys.take()), (HOLD, vec![(A, false)]));
    assert_eq!((wait(&timer, &mut typist), keys.take()), (PAUSE, vec![(SHIFT, false)]));
    assert_eq!(timer.at(), None);
}

#[test]
fn the_next_keys_wait_for_those_before() {
    let (keys, timer, mut typist) = typist();
    typist.press(&[A], HOLD).unwrap();
    typist.press(&[B], HOLD).unwrap();
    assert_eq!(keys.take(), [(A, true)]);
    let times: Vec<_> = (0..3).map(|_| wait(&timer, &mut typist)).collect();
    assert_eq!(times, [HOLD, PAUSE, HOLD]);
    assert_eq!(keys.take(), [(A, false), (B, true), (B, false)]);
    // Long after that, the next one comes at once.
    timer.pass(HOLD);
    typist.press(&[A], Duration::ZERO).unwrap();
    assert_eq!(keys.take(), [(A, true), (A, false)]);
}

#[test]
fn too_many_keys_are_refused_whole() {
    let (keys, timer, mut typist) = typist();
    for _ in 0..MOST / 2 {
        typist.press(&[A], HOLD).unwrap();
    }
    // One of them is still pressed.
    let refused = typist.press(&[A], HOLD);
    assert_eq!(refused, Err(TypistError::TooMany { waiting: MOST - 1, more: 2 }));
    assert_eq!(keys.take(), [(A, true)]);
    wait(&timer, &mut typist);
    typist.press(&[A], HOLD).unwrap();
    assert_eq!(
        typist.press(&vec![A; MOST], HOLD),
        Err(TypistError::TooMany { waiting: MOST, more: 2 * MOST })
    );
}
