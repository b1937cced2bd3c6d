//! Asks for a name and a password, and then runs one command per line, like Linux on a serial console, with colours.
#![no_std]
#![no_main]

mod rt;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

/// A line of input.
struct Line {
    bytes: [u8; 64],
    len: usize,
}

extern "C" fn guest_main() -> u32 {
    print!("\x1b[0;1;32mtiny\x1b[0m lo\x1b[31mgin: \x1b[0m");
    let name = read_line();
    print!("\r\nPassword: ");
    let password = read_line();
    print!("\r\nwelcome ");
    show(name.text());
    print!(" with ");
    show(password.text());
    print!("\r\n");
    loop {
        print!("\x1b[?2004h$ ");
        let line = read_line();
        print!("\r\n");
        match line.text() {
            b"off" => rt::power_off(),
            b"exit" => return 3,
            b"crash" => rt::triple_fault(),
            b"reboot" => rt::outb(0xcf9, 6),
            b"hang" => loop {
                rt::inb(LINE_STATUS);
            },
            b"flood" => (0..100_000).for_each(|_| rt::outb(DATA, b'.')),
            b"garbage" => (0..4).for_each(|_| (0..=255).for_each(|byte| rt::outb(DATA, byte))),
            text => {
                print!("you said ");
                show(text);
                print!("\r\n");
            }
        }
    }
}

fn read_line() -> Line {
    let mut line = Line { bytes: [0; 64], len: 0 };
    loop {
        if rt::inb(LINE_STATUS) & 1 == 0 {
            continue;
        }
        match rt::inb(DATA) {
            b'\r' | b'\n' => return line,
            byte if line.len < line.bytes.len() => {
                line.bytes[line.len] = byte;
                line.len += 1;
            }
            _ => {}
        }
    }
}

impl Line {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn show(text: &[u8]) {
    text.iter().for_each(|&byte| rt::outb(DATA, byte));
}
