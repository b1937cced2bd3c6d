//! New random numbers for a copied system, similar to those from a generation ID device: Linux, drivers/char/random.c,
//! `add_vmfork_randomness`.
#![expect(unsafe_code, reason = "an ioctl that no crate has")]

use std::fs::OpenOptions;
use std::io::{self, Write};

use libc::c_ulong;
use vmm_sys_util::ioctl::{_IOC_NONE, ioctl, ioctl_expr};

/// `_IO('R', 0x07)`: the generator immediately uses what was written. Linux 4.14 and later.
const RNDRESEEDCRNG: c_ulong = ioctl_expr(_IOC_NONE, b'R' as u32, 0x07, 0);

/// Gives random bytes to the kernel's generator, which uses them from now on.
pub(in crate::nest) fn seed(bytes: &[u8]) -> io::Result<()> {
    let mut random = OpenOptions::new().write(true).open("/dev/urandom")?;
    random.write_all(bytes)?;
    // SAFETY: this ioctl takes no argument.
    match unsafe { ioctl(&random, RNDRESEEDCRNG) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
