//! A process that is made to execute chosen system calls, by ptrace.
#![expect(unsafe_code, reason = "ptrace, which no crate has")]

use std::{io, mem, process::Child, ptr};

use libc::{c_int, c_long, c_uint, c_void, pid_t, user_regs_struct};

/// The instruction SYSCALL.
const SYSCALL: c_long = 0x050f;

/// The first thread of a child, which is stopped until this is dropped. The thread waits in a system call.
pub(crate) struct Tracee {
    pid: pid_t,
}

impl Tracee {
    /// Stops it.
    pub(crate) fn seize(child: &Child) -> io::Result<Self> {
        let pid = pid_t::try_from(child.id()).unwrap();
        ptrace(libc::PTRACE_SEIZE, pid, ptr::null_mut())?;
        let tracee = Self { pid };
        ptrace(libc::PTRACE_INTERRUPT, pid, ptr::null_mut())?;
        tracee.wait()?;
        Ok(tracee)
    }

    /// Makes it execute a system call, and returns the result.
    pub(crate) fn call(&mut self, number: c_long, arguments: [u64; 6]) -> io::Result<u64> {
        let before = self.registers()?;
        // It has just returned from the call in which it waits.
        let at = before.rip - 2;
        // SAFETY: reads a word of the other process, by its address there.
        let code = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, at, 0) };
        assert_eq!(code & 0xffff, SYSCALL, "it does not wait in a system call");
        let mut registers = before;
        registers.rip = at;
        registers.rax = u64::try_from(number).unwrap();
        // Don't restart any system call.
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        self.set_registers(registers)?;
        ptrace(libc::PTRACE_SINGLESTEP, self.pid, ptr::null_mut())?;
        self.wait()?;
        let result = self.registers()?.rax;
        self.set_registers(before)?;
        Ok(result)
    }

    fn registers(&self) -> io::Result<user_regs_struct> {
        // SAFETY: plain numbers.
        let mut registers: user_regs_struct = unsafe { mem::zeroed() };
        ptrace(libc::PTRACE_GETREGS, self.pid, (&raw mut registers).cast())?;
        Ok(registers)
    }

    fn set_registers(&self, mut registers: user_regs_struct) -> io::Result<()> {
        ptrace(libc::PTRACE_SETREGS, self.pid, (&raw mut registers).cast())
    }

    fn wait(&self) -> io::Result<()> {
        let mut status: c_int = 0;
        // SAFETY: writes a number into a local.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        if waited < 0 {
            return Err(io::Error::last_os_error());
        }
        assert!(libc::WIFSTOPPED(status), "it has ended: {status:#x}");
        Ok(())
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = ptrace(libc::PTRACE_DETACH, self.pid, ptr::null_mut());
    }
}

fn ptrace(request: c_uint, pid: pid_t, data: *mut c_void) -> io::Result<()> {
    // SAFETY: `data` is of the kind that the request takes, or null.
    match unsafe { libc::ptrace(request, pid, ptr::null_mut::<c_void>(), data) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
