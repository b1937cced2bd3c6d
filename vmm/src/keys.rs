//! nvmm's own keys: Ctrl-A and a letter, as in QEMU.

/// The actions that have keys.
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

/// Returns the help for Ctrl-A h, with `own` for the other keys.
pub(crate) fn help(own: &str) -> String {
    format!("\n{own}Ctrl-A a   send Ctrl-A to the guest\nCtrl-A h   this help\n")
}

/// The most typed bytes that wait for the guest. More are dropped, since nvmm's own keys have to be read.
pub(crate) const TYPED: usize = 1 << 20;

/// Begins a sequence.
pub(crate) const CTRL_A: u8 = 0x01;

/// Finds nvmm's own keys in typed bytes.
#[derive(Debug, Default)]
pub(crate) struct Escapes {
    after_ctrl_a: bool,
}

impl Escapes {
    /// Handles one typed byte: appends bytes for the guest to `guest`, and returns a key of nvmm's. An unknown sequence goes to the guest
    /// unchanged.
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
