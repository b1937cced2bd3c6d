//! The keys that are nvmm's own: Ctrl-A and a letter, as in QEMU.

/// The wishes of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Ctrl-A x.
    Quit,
    /// Ctrl-A p.
    Pause,
    /// Ctrl-A h or ?.
    Help,
}

/// Help for Ctrl-A x and Ctrl-A p on the terminal of a machine.
pub(crate) const OF_MACHINE: &str = "\
Ctrl-A x   end nvmm
Ctrl-A p   pause the guest, or let it go on
";

/// Help for Ctrl-A x on the terminal of `nvmm console`.
pub(crate) const OF_CONSOLE: &str = "\
Ctrl-A x   leave the console; the guest runs on
";

/// Returns what Ctrl-A h prints, where other keys do what `own` says.
pub(crate) fn help(own: &str) -> String {
    format!("\n{own}Ctrl-A a   send Ctrl-A to the guest\nCtrl-A h   this help\n")
}

/// As much of what is typed waits for the guest; what is beyond is lost, as the keys that are nvmm's own must be heard.
pub(crate) const TYPED: usize = 1 << 20;

/// Begins a sequence.
pub(crate) const CTRL_A: u8 = 0x01;

/// Takes the escape sequences out of what is typed.
#[derive(Debug, Default)]
pub(crate) struct Escapes {
    after_ctrl_a: bool,
}

impl Escapes {
    /// Gives one typed byte a meaning: bytes for the guest go to `guest`, and a key to the caller. An unknown sequence goes to the guest whole.
    pub(crate) fn feed(&mut self, byte: u8, guest: &mut Vec<u8>) -> Option<Key> {
        match (std::mem::take(&mut self.after_ctrl_a), byte) {
            (false, CTRL_A) => self.after_ctrl_a = true,
            (true, b'x' | b'X') => return Some(Key::Quit),
            (true, b'p' | b'P') => return Some(Key::Pause),
            (true, b'h' | b'H' | b'?') => return Some(Key::Help),
            (true, b'a' | b'A' | CTRL_A) => guest.push(CTRL_A),
            (true, other) => guest.extend([CTRL_A, other]),
            (false, other) => guest.push(other),
        }
        None
    }
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod tests;
