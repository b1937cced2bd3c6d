//! Ways to reset the current machine.
#![expect(unsafe_code, reason = "writes I/O ports")]

use std::arch::asm;
use std::io;

use rustix::system::RebootCommand;

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// reboot(2): the kernel stops the other CPUs, and KVM ends VMX or SVM operation, before the reset.
    Kernel,
    /// The register named in the FADT, without the kernel's involvement: VMX or SVM operation is on, and a CPU may be in level 2.
    Acpi,
    /// The keyboard controller's reset line, likewise.
    Keyboard,
}

impl Reset {
    /// Resets. Returns only if that fails.
    pub(crate) fn now(self) -> io::Result<()> {
        match self {
            Self::Kernel => Ok(rustix::system::reboot(RebootCommand::Restart)?),
            Self::Acpi => write_port(0xcf9, 0x06),
            Self::Keyboard => write_port(0x64, 0xfe),
        }
    }
}

fn write_port(port: u16, value: u8) -> io::Result<()> {
    // SAFETY: this lets the process use one port, as PID 1 of a machine of its own.
    if unsafe { libc::ioperm(port.into(), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this process may write the port, and the reset that follows is wanted.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
    Ok(())
}
