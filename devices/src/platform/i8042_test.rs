use super::*;
use crate::testing::FakeLine;

const A: Key = Key(0x1e);
const UP: Key = Key(0xc8);

struct Pc {
    controller: I8042,
    line: Arc<FakeLine>,
}

impl Pc {
    fn new() -> Self {
        let line = Arc::new(FakeLine::default());
        Self { controller: I8042::new(line.clone()), line }
    }

    fn status(&mut self) -> Status {
        let mut byte = [0];
        self.controller.read(COMMAND, &mut byte);
        Status::from_bits(byte[0]).unwrap()
    }

    fn is_full(&mut self) -> bool {
        self.status().contains(Status::OUTPUT_FULL)
    }

    /// The next byte, which must be available.
    fn read(&mut self) -> u8 {
        assert!(self.is_full());
        let mut byte = [0];
        self.controller.read(DATA, &mut byte);
        byte[0]
    }

    /// All available bytes.
    fn all(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.is_full().then(|| self.read())).collect()
    }

    fn command(&mut self, command: u8) {
        assert_eq!(self.controller.write(COMMAND, &[command]), Effect::None);
    }

    fn write(&mut self, byte: u8) {
        assert_eq!(self.controller.write(DATA, &[byte]), Effect::None);
    }

    /// A command with a parameter.
    fn command_with(&mut self, command: u8, byte: u8) {
        self.command(command);
        self.write(byte);
    }

    /// A command with a one-byte answer.
    fn ask(&mut self, command: u8) -> u8 {
        self.command(command);
        let byte = self.read();
        assert!(!self.is_full());
        byte
    }

    /// Sends a byte to the keyboard, and returns its answer.
    fn keyboard(&mut self, byte: u8) -> Vec<u8> {
        self.write(byte);
        self.all()
    }
}

#[test]
fn a_key_interrupts_once_for_each_byte() {
    let mut pc = Pc::new();
    assert!(!pc.is_full() && !pc.line.high());
    pc.controller.key(UP, true);
    assert_eq!((pc.line.high(), pc.line.take_edges()), (true, 1));
    assert_eq!((pc.read(), pc.line.high(), pc.line.take_edges()), (0xe0, true, 1));
    assert_eq!((pc.read(), pc.line.high(), pc.line.take_edges()), (0x48, false, 0));
    // The last byte stays.
    let mut byte = [0];
    pc.controller.read(DATA, &mut byte);
    assert_eq!((byte, pc.line.take_edges()), ([0x48], 0));
    pc.controller.key(UP, false);
    assert_eq!(pc.all(), [0xe0, 0xc8]);
}

#[test]
fn translation_and_interrupts_are_switched_by_the_command_byte() {
    let mut pc = Pc::new();
    assert_eq!(pc.ask(0x20), 0x65);
    pc.line.take_edges();
    pc.command_with(0x60, 0x24);
    assert_eq!(pc.ask(0x20), 0x24);
    pc.controller.key(A, true);
    pc.controller.key(A, false);
    assert_eq!((pc.all(), pc.line.take_edges()), (vec![0x1c, 0xf0, 0x1c], 0));
    // Enabled while a byte is waiting.
    pc.controller.key(A, true);
    pc.command_with(0x60, 0x65);
    assert_eq!((pc.line.high(), pc.line.take_edges()), (true, 1));
    assert_eq!(pc.all(), [0x1c], "it was there before");
}

#[test]
fn a_keyboard_that_is_switched_off_keeps_its_keys() {
    let mut pc = Pc::new();
    pc.command(0xad);
    pc.controller.key(A, true);
    assert!(!pc.is_full() && !pc.line.high());
    assert_eq!(pc.ask(0x20), 0x75);
    pc.command(0xae);
    assert_eq!(pc.all(), [0x1e]);
    // A byte for the keyboard enables it, since it has to answer.
    pc.command(0xad);
    assert_eq!(pc.keyboard(0xee), [0xee]);
    assert_eq!(pc.ask(0x20), 0x65);
}

#[test]
fn each_command_of_the_controller_is_answered() {
    let mut pc = Pc::new();
    assert_eq!(pc.ask(0xaa), 0x55);
    assert_eq!(pc.ask(0xab), 0);
    assert_eq!(pc.ask(0xc0), 0x80);
    assert_eq!(pc.ask(0xd0), 0xcf);
    // As if it came from the keyboard.
    pc.line.take_edges();
    pc.command_with(0xd2, 0x5a);
    assert!(pc.line.high() && pc.status() == Status::OUTPUT_FULL | Status::UNLOCKED | Status::SYSTEM);
    // The controller's answer comes after it.
    pc.command(0xd0);
    assert_eq!(pc.all(), [0x5a, 0xdf]);
}

#[test]
fn commands_without_an_answer_leave_nothing_to_read() {
    let mut pc = Pc::new();
    // The A20 gate by the output port and by commands, both ports on and off, and bits of the output port that are not the reset's.
    pc.command_with(0xd1, 0xdd);
    pc.command_with(0xd1, 0xdf);
    for command in
        (0xf1..=0xff).step_by(2).chain([0xdd, 0xdf, 0xa7, 0xa8, 0xad, 0xae, 0x00, 0x21, 0x61, 0xa4, 0xe0])
    {
        pc.command(command);
        assert!(!pc.is_full(), "{command:#x}");
    }
    // A command in place of a parameter replaces the pending one.
    pc.command(0x60);
    pc.command(0xd4);
    pc.command(0xae);
    assert_eq!(pc.keyboard(0xf4), [0xfa]);
    assert_eq!(pc.ask(0x20), 0x65);
}

#[test]
fn the_machine_is_reset_by_pulses_and_by_the_output_port() {
    for command in (0xf0..=0xfe).step_by(2) {
        assert_eq!(Pc::new().controller.write(COMMAND, &[command]), Effect::Reset, "{command:#x}");
    }
    let mut pc = Pc::new();
    assert_eq!(pc.controller.write(DATA, &[0xfe]), Effect::None, "the keyboard's: send again");
    pc.command(0xd1);
    assert_eq!(pc.controller.write(DATA, &[0xfe]), Effect::Reset);
    assert_eq!(pc.controller.write(COMMAND, &[0xfe, 0xfe]), Effect::None);
    assert_eq!(pc.controller.write(2, &[0xfe]), Effect::None);
}

#[test]
fn other_ports_and_widths_read_all_ones() {
    let mut pc = Pc::new();
    for (offset, len) in [(1, 1), (2, 1), (3, 1), (0, 2), (0, 4), (3, 2)] {
        let mut data = vec![0; len];
        pc.controller.read(offset, &mut data);
        assert_eq!(data, vec![0xff; len]);
    }
}

/// SeaBIOS, ps2port.c: `ps2_keyboard_setup`, with the transfers of `__ps2_command`.
#[test]
fn seabios_sets_the_keyboard_up() {
    let mut pc = Pc::new();
    // Keys that were pressed before are flushed.
    pc.controller.key(A, true);
    assert_eq!(pc.all(), [0x1e]);
    assert_eq!(pc.ask(0xaa), 0x55);
    assert_eq!(pc.ask(0xab), 0);
    let mut command = |before: u8, bytes: &[(u8, &[u8])]| {
        pc.command_with(0x60, 0x30 | before & !1);
        pc.command_with(0x60, 0x20 | before & !1);
        for &(byte, answer) in bytes {
            assert_eq!(pc.keyboard(byte), answer, "{byte:#x}");
        }
        pc.command_with(0x60, before);
        assert!(!pc.is_full());
    };
    command(0x30, &[(0xff, &[0xfa, 0xaa])]);
    command(0x30, &[(0xf5, &[0xfa])]);
    command(0x30, &[(0xf0, &[0xfa]), (2, &[0xfa])]);
    command(0x61, &[(0xf4, &[0xfa])]);
    // Lights, while the keyboard is in use.
    command(0x61, &[(0xed, &[0xfa]), (2, &[0xfa])]);
    pc.line.take_edges();
    pc.controller.key(A, true);
    assert_eq!(pc.line.take_edges(), 1);
    // `handle_09`: read the byte, and enable the keyboard.
    assert!(!pc.status().contains(Status::MOUSE));
    assert_eq!(pc.read(), 0x1e);
    pc.command(0xae);
    assert!(!pc.line.high());
}

/// SeaBIOS, ps2port.c: `ps2_mouse_command` of a program that resets the mouse.
#[test]
fn seabios_finds_no_mouse_at_once() {
    let mut pc = Pc::new();
    pc.command_with(0x60, 0x30);
    pc.command_with(0x60, 0x10);
    pc.command_with(0xd4, 0xff);
    // `ps2_recvbyte`: a byte of the mouse that is no ACK ends it.
    assert!(pc.status().contains(Status::OUTPUT_FULL | Status::MOUSE | Status::TIMEOUT));
    assert_eq!((pc.read(), pc.line.take_edges()), (0xfe, 0));
}

/// Linux, i8042.c: `i8042_controller_check`, `i8042_controller_selftest`, `i8042_controller_init`, `i8042_enable_kbd_port`.
#[test]
fn linux_finds_the_controller() {
    let mut pc = Pc::new();
    assert!(pc.all().is_empty());
    assert_eq!(pc.ask(0xaa), 0x55);
    let first = pc.ask(0x20);
    assert_eq!(pc.ask(0x20), first);
    // It is not locked, and the BIOS has switched translation on.
    assert!(pc.status().contains(Status::UNLOCKED) && first & 0x40 != 0);
    let quiet = (first | 0x10) & !1;
    pc.command_with(0x60, quiet);
    pc.controller.key(A, true);
    assert!(!pc.is_full());
    pc.line.take_edges();
    pc.command_with(0x60, quiet & !0x10 | 1);
    assert_eq!((pc.line.take_edges(), pc.all()), (1, vec![0x1e]));
}

/// Linux, i8042.c: `i8042_check_aux`, on a machine whose tables don't report the absence of a mouse.
#[test]
fn linux_finds_no_mouse_at_once() {
    let mut pc = Pc::new();
    pc.command_with(0xd3, 0x5a);
    assert!(pc.is_full() && !pc.status().contains(Status::MOUSE), "the loop fails, without a wait");
    // The answer has not been read.
    assert_eq!(pc.ask(0xa9), 1, "the clock line is stuck");
    // A driver that checks the command byte: the mouse can't be enabled.
    pc.command(0xa8);
    assert_eq!(pc.ask(0x20) & 0x20, 0x20);
}

/// Linux, atkbd.c: `atkbd_probe`, `atkbd_reset_state`, `atkbd_activate`.
#[test]
fn linux_probes_the_keyboard() {
    let mut pc = Pc::new();
    assert_eq!(pc.keyboard(0xf2), [0xfa, 0xab, 0x41]);
    for (byte, answer) in [(0xed, 0xfa), (0, 0xfa), (0xf3, 0xfa), (0, 0xfa), (0xf4, 0xfa)] {
        assert_eq!(pc.keyboard(byte), [answer], "{byte:#x}");
    }
    // `atkbd_cleanup`, for the BIOS.
    assert_eq!(pc.keyboard(0xff), [0xfa, 0xaa]);
}

/// GRUB, at_keyboard.c and ps2.c: translation is off, and the scan code set is queried.
#[test]
fn grub_chooses_a_set() {
    let mut pc = Pc::new();
    let original = pc.ask(0x20);
    pc.command_with(0x60, original & !0x40 & !1);
    for byte in [0xf0, 2, 0xf0] {
        assert_eq!(pc.keyboard(byte), [0xfa]);
    }
    assert_eq!(pc.keyboard(0), [0xfa, 2]);
    pc.controller.key(UP, true);
    assert_eq!(pc.all(), [0xe0, 0x75]);
}

#[test]
fn keys_wait_until_they_are_read() {
    let mut pc = Pc::new();
    // As in a stopped machine: the guest sees them once it continues.
    for _ in 0..100 {
        pc.controller.key(A, true);
    }
    pc.controller.key(A, false);
    let bytes = pc.all();
    assert_eq!(bytes[..17], [0x1e; 17], "one in the controller, and the keyboard's");
    assert_eq!(bytes[17..], [0xff, 0x9e], "some were lost, but the key is up");
}
