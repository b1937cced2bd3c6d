//! The end of a run, and nvmm's exit status.
//!
//! The statuses for guests that crashed are even, so that they can't be confused with a debug exit's, which are odd.

use crate::crash::Crash;

/// The exit statuses in `--help`.
pub const HELP: &str = "\
Exit status:
  0    the guest powered off (or rebooted, with --on-reboot exit), Ctrl-A x was
       typed, or the machine was saved to end, or moved to another nvmm
  1    nvmm could not run the machine, and says why on stderr (without a word:
       a debug exit of 0)
  2    the command line is wrong
  3    an --expect was not met in time, or before the guest ended in order
  4    the guest met a triple fault: with --on-reboot reset, three in ten
       seconds
  6    the processor refused to enter the guest
  8    KVM could not emulate an instruction of the guest
  10   KVM ended with another error of its own
  12   the guest's kernel panicked, with --on-panic
  14   a thread of nvmm made a system call that --sandbox does not allow it
  143  SIGTERM, if the guest did not power off; 130: SIGINT; 131: SIGQUIT;
       129: its terminal closed
  odd  --debug-exit: (value << 1) | 1";

/// The status if nvmm failed.
pub const COULD_NOT: u8 = 1;
/// The status for an invalid command line.
pub const USAGE: u8 = 2;

/// The status for an `--expect` that was not met, unless the guest crashed.
pub const UNMET: u8 = 3;
/// The status for a guest whose kernel reported a panic.
pub const PANICKED: u8 = 12;

/// The status for a system call that a thread's sandbox does not allow.
pub const REFUSED: u8 = 14;

/// The status for signal number 0; other signals follow.
pub const SIGNAL: u8 = 128;

/// Returns the meaning of a status if it is that of a guest that can't continue.
#[must_use]
pub fn crash(status: i32) -> Option<&'static str> {
    match status {
        4 => Some("the guest met a triple fault"),
        6 => Some("the processor refused to enter the guest"),
        8 => Some("KVM could not emulate an instruction of the guest"),
        10 => Some("KVM ended with another error of its own"),
        12 => Some("the guest's kernel panicked"),
        14 => Some("nvmm made a system call that its sandbox does not allow"),
        _ => None,
    }
}

/// Reasons why a machine stopped.
#[derive(Debug)]
pub enum Exit {
    /// The guest powered itself off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// The guest's kernel reported a panic.
    Panicked,
    /// The guest wrote to the debug-exit port, which gives this status.
    Debug(u8),
    /// The user asked for a reset.
    Restart,
    /// The guest did not print what `--expect` waits for in time.
    Unmet,
    /// The user typed the escape sequence.
    Quit,
    /// A client of the control socket asked nvmm to end.
    Closed,
    /// A signal asked nvmm to end.
    Signal(i32),
    /// The machine was saved, as requested.
    Saved,
    /// The machine was moved to another nvmm.
    Moved,
    /// The guest can't continue.
    Crash(Box<Crash>),
    /// nvmm can't continue.
    Failed(anyhow::Error),
}
