//! The work that is measured: exits of a known kind, done by the last level's /init.
//!
//! ```text
//! last level:   says `empty`, waits | says `cpuid`, waits, executes CPUID | says `ports`, waits, reads a port | says `ended`
//! levels below:           looks at its counters   looks                          looks                      looks
//! ```
//!
//! Saying something costs exits itself, about as many each time: those between the first two looks are taken from the others.
#![expect(unsafe_code, reason = "reading a port")]

use std::arch::asm;
use std::arch::x86_64::__cpuid;
use std::hint;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The work that the last level does from now on. The names have one length, so that saying them costs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Nothing.
    Empty,
    /// Executes CPUID: its hypervisor's kernel answers.
    Cpuid,
    /// Reads a port that no device has: its hypervisor's VMM answers.
    Ports,
    /// Nothing any more.
    Ended,
}

/// The port that is read: writing to it shows how far firmware has come, and reading does nothing.
const PORT: u16 = 0x80;

/// The time for which the last level waits before it works: those below it look at their counters meanwhile.
const WAIT: Duration = Duration::from_millis(100);

impl Work {
    /// All of it in order.
    pub const ALL: [Self; 4] = [Self::Empty, Self::Cpuid, Self::Ports, Self::Ended];

    /// The number of exits that it makes: many times those of a timer's interrupts meanwhile, and few enough for a third level
    /// that is emulated.
    #[must_use]
    pub fn exits(self) -> u32 {
        match self {
            Self::Empty | Self::Ended => 0,
            Self::Cpuid => 2000,
            Self::Ports => 500,
        }
    }

    /// The exit reason, as KVM's tracepoints have it for VMX and SVM.
    #[must_use]
    pub(super) fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Empty | Self::Ended => &[],
            Self::Cpuid => &["cpuid"],
            Self::Ports => &["io_instruction", "io"],
        }
    }

    /// One of its exits.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Empty | Self::Ended => "nothing",
            Self::Cpuid => "CPUID",
            Self::Ports => "port read",
        }
    }

    /// Waits, and does it. PID 1 alone may read ports.
    ///
    /// # Errors
    ///
    /// The kernel lets nobody read ports.
    pub(in crate::nest) fn run(self) -> io::Result<()> {
        let wait = Instant::now();
        // Sleeping would halt the CPU, which is an exit.
        while wait.elapsed() < WAIT {
            hint::spin_loop();
        }
        match self {
            Self::Empty | Self::Ended => {}
            Self::Cpuid => (0..self.exits()).for_each(|_| {
                hint::black_box(__cpuid(0));
            }),
            Self::Ports => {
                // SAFETY: gives this process the right to use one port.
                if unsafe { libc::ioperm(PORT.into(), 1, 1) } != 0 {
                    let error = io::Error::last_os_error();
                    let why =
                        format!("reading a port: {error}: a kernel in lockdown lets nobody (lockdown=)");
                    return Err(io::Error::new(error.kind(), why));
                }
                (0..self.exits()).for_each(|_| read_port());
            }
        }
        Ok(())
    }
}

/// Reads the port.
fn read_port() {
    // SAFETY: reading this port changes nothing, and memory least.
    unsafe { asm!("in al, dx", in("dx") PORT, out("al") _, options(nomem, nostack, preserves_flags)) };
}
