use devices::input::Pointer;

use super::{
    super::test_viewer::{Heard, TestInput, TestScreen, TestViewer, subject},
    *,
};

struct Machine {
    screen: Arc<TestScreen>,
    input: Arc<TestInput>,
    session: Session,
}

impl Machine {
    fn new() -> Self {
        let (screen, input) = (Arc::new(TestScreen::default()), Arc::new(TestInput::default()));
        screen.draw((32, 32), |x, _| x.into());
        let session = Session::new(Arc::new(subject(&screen, &input, None)));
        Self { screen, input, session }
    }

    /// A machine with a connected viewer.
    fn with_viewer() -> Self {
        let mut machine = Self::new();
        machine.receive(b"RFB 003.008\n\x01\x01");
        let output = machine.output();
        let init = output.strip_prefix(b"RFB 003.008\n\x01\x01\0\0\0\0").unwrap();
        assert_eq!(init[..4], [0, 32, 0, 32]);
        assert_eq!(init[4..20], PixelFormat::default().to_bytes());
        assert_eq!(&init[20..], b"\0\0\0\x09a machine");
        machine
    }

    fn receive(&mut self, bytes: &[u8]) -> Received {
        self.session.receive(bytes).unwrap()
    }

    fn output(&mut self) -> Vec<u8> {
        let output = self.session.output().to_vec();
        self.session.sent(output.len());
        output
    }
}

const CHANGES: [u8; 10] = [3, 1, 0, 0, 0, 0, 0, 32, 0, 32];

#[test]
fn a_viewer_gets_the_screens_description_once_it_is_admitted() {
    let mut machine = Machine::new();
    assert!(machine.session.patience().is_some());
    assert!(!machine.session.update().unwrap());
    machine.receive(b"RFB 003.008\n\x01");
    assert!(machine.session.patience().is_some());
    machine.receive(b"\x01");
    assert_eq!(machine.session.patience(), None);
    assert!(!machine.session.wants_update(), "nothing is sent before it is asked for");
}

#[test]
fn messages_may_come_in_parts_and_several_at_a_time() {
    let key = [255, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x1e];
    let pointer = [5, 1, 0, 31, 0, 0];
    let text = [&[6, 0, 0, 0, 0, 0, 0, 3][..], &[5; 3]].concat();
    let all = [&key[..], &text, &pointer, &[4, 1, 0, 0, 0, 0, 0, b'b'], &CHANGES].concat();
    let pointer = Pointer { x: 0x7fff, y: 0, buttons: 1 };
    let heard = [Heard::Key(0x1e, true), Heard::Pointer(pointer), Heard::Key(0x30, true)];
    for len in 1..=all.len() {
        let mut machine = Machine::with_viewer();
        all.chunks(len).for_each(|part| {
            machine.receive(part);
        });
        assert_eq!(machine.input.heard(), heard, "{len}");
        assert!(machine.session.wants_update());
        assert_eq!(machine.session.kept(), 0);
    }
}

#[test]
fn a_clipboard_of_any_length_is_not_kept() {
    let mut machine = Machine::with_viewer();
    machine.receive(&[6, 0, 0, 0, 0, 16, 0, 0]);
    for _ in 0..(1 << 20) / 4096 {
        machine.receive(&[4; 4096]);
        assert_eq!(machine.session.kept(), 0);
    }
    assert!(machine.receive(&[4, 1, 0, 0, 0, 0, 0, b'b']).touched);
    assert_eq!(machine.input.heard(), [Heard::Key(0x30, true)]);
}

#[test]
fn there_is_one_update_at_a_time_and_only_when_something_changed() {
    let mut machine = Machine::with_viewer();
    let mut viewer = TestViewer::new((32, 32));
    machine.receive(&CHANGES);
    assert!(machine.session.update().unwrap());
    // The viewer requests again before it has read.
    (0..100).for_each(|_| {
        machine.receive(&CHANGES);
    });
    let len = machine.session.output().len();
    assert!(!machine.session.wants_update());
    let output = machine.output();
    assert_eq!(viewer.update(&output).unwrap().1, len);
    assert!(machine.session.wants_update());
    assert!(!machine.session.update().unwrap());
    assert!(machine.session.wants_update(), "the wish stays");
    machine.screen.draw((32, 32), |_, y| y.into());
    assert!(machine.session.update().unwrap());
    viewer.update(&machine.output()).unwrap();
    assert_eq!(viewer.pixels, machine.screen.pixels((32, 32)));
    assert!(!machine.session.wants_update());
}

#[test]
fn rubbish_ends_the_session_and_what_was_held_is_let_go() {
    let mut machine = Machine::with_viewer();
    machine.receive(&[4, 1, 0, 0, 0, 0, 0, b'b']);
    let error = machine.session.receive(&[99]).unwrap_err();
    assert_eq!(error.to_string(), "it sent a message of the unknown type 99");
    machine.input.heard();
    let Machine { input, session, .. } = machine;
    drop(session);
    assert_eq!(input.heard(), [Heard::Key(0x30, false)]);
}
