//! The work that is measured: exits of known kinds, which the last level's /init makes.
//!
//! ```text
//! last level:   says `empty`, waits | says `cpuid`, waits, executes CPUID | says `ports`, waits, reads a port | says `ended`
//! levels below:           looks at its counters   looks                          looks                      looks
//! ```
//!
//! Reporting costs exits itself, about as many each time: those between the first two readings are subtracted from the others.
#![expect(unsafe_code, reason = "reading a port")]

use std::arch::asm;
use std::arch::x86_64::__cpuid;
use std::hint;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The work that the last level does from now on. The names have equal lengths, so that reporting each costs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// No work.
    Empty,
    /// Executing CPUID, which its hypervisor's kernel answers.
    Cpuid,
    /// Reading a port without a device, which its hypervisor's VMM answers.
    Ports,
    /// The end of the work.
    Ended,
}

/// The port that is read. Writing to it shows the progress of firmware; reading it has no effect.
const PORT: u16 = 0x80;

/// The time that the last level waits before it works, so that the levels below can read their counters.
const WAIT: Duration = Duration::from_millis(100);

impl Work {
    /// All of them in order.
    pub const ALL: [Self; 4] = [Self::Empty, Self::Cpuid, Self::Ports, Self::Ended];

    /// The number of exits that it makes: many times the number of timer interrupts meanwhile, but few enough for an emulated third level.
    #[must_use]
    pub fn exits(self) -> u32 {
        match self {
            Self::Empty | Self::Ended => 0,
            Self::Cpuid => 2000,
            Self::Ports => 500,
        }
    }

    /// The exit reason in KVM's tracepoints, for VMX and SVM.
    #[must_use]
    pub(super) fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Empty | Self::Ended => &[],
            Self::Cpuid => &["cpuid"],
            Self::Ports => &["io_instruction", "io"],
        }
    }

    /// The name of one such exit.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Empty | Self::Ended => "nothing",
            Self::Cpuid => "CPUID",
            Self::Ports => "port read",
        }
    }

    /// Waits, and does the work. Only PID 1 may read ports.
    ///
    /// # Errors
    ///
    /// The kernel does not permit reading ports.
    pub(in crate::nest) fn run(self) -> io::Result<()> {
        let wait = Instant::now();
        // Don't sleep: that would halt the CPU, which is an exit.
        while wait.elapsed() < WAIT {
            hint::spin_loop();
        }
        match self {
            Self::Empty | Self::Ended => {}
            Self::Cpuid => (0..self.exits()).for_each(|_| {
                hint::black_box(__cpuid(0));
            }),
            Self::Ports => {
                // SAFETY: this gives the process the permission to use one port.
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
    // SAFETY: reading this port has no effect, least of all on memory.
    unsafe { asm!("in al, dx", in("dx") PORT, out("al") _, options(nomem, nostack, preserves_flags)) };
}
