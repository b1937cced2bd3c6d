//! Fault injection: a program whose KVM fails once at a chosen place.
//!
//! The kernel asks this test about each of the program's ioctls to KVM (seccomp's user notifications), and the test lets it fail with a
//! chosen error or continue. So the fault happens to the real nvmm, and no other ioctl is affected or slowed down.
#![expect(unsafe_code, reason = "system calls that no crate has")]

use std::{
    collections::BTreeMap,
    fmt, io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread::{self, JoinHandle},
};

use libc::{c_int, c_ulong, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use rustix::event::{PollFd, PollFlags, poll};

/// `KVMIO`, in the second byte of a request.
const KVM: u32 = 0xae00;
/// `_IO(KVMIO, 0x80)`.
pub(crate) const KVM_RUN: u32 = 0xae80;
/// Linux 5.19: only a signal that kills the program interrupts an ioctl that is being asked about.
const WAIT_KILLABLE: c_ulong = 1 << 5;

/// One ioctl of a program's run: the first of its kind has the number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) request: u32,
    pub(crate) number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} number {}", name(self.request), self.number)
    }
}

/// A fault: the place, and the number of the error.
pub(crate) type Fault = (Place, c_int);

/// The number of ioctls of each kind.
pub(crate) type Calls = BTreeMap<u32, usize>;

/// Returns true if the kernel lacks user notifications, and prints that the test is skipped, and why.
pub(crate) fn cannot() -> bool {
    let asked = thread::spawn(|| listen(false)).join();
    let why =
        asked.map_err(|_| "a panic".to_owned()).and_then(|asked| asked.map_err(|error| error.to_string()));
    if let Err(error) = &why {
        println!("skipped: seccomp's user notifications (Linux 5.19 and later) can't be had: {error}");
    }
    why.is_err()
}

/// Starts programs whose ioctls get the fault. `KVM_RUN` is included only if it is to fail. The thread ends with the programs.
pub(crate) fn start<T: Send>(
    fault: Option<Fault>,
    start: impl FnOnce() -> T + Send,
) -> (T, JoinHandle<Calls>) {
    let runs = fault.is_some_and(|(place, _)| place.request == KVM_RUN);
    // They inherit the filter from the thread that starts them, which is gone when the first of them is asked about.
    let filtered = || listen(runs).map(|listener| (listener, start()));
    let (listener, started) = thread::scope(|scope| scope.spawn(filtered).join().unwrap()).unwrap();
    (started, thread::spawn(move || answer(&listener, fault)))
}

/// Answers the kernel's questions until no filtered process is left.
fn answer(listener: &OwnedFd, fault: Option<Fault>) -> Calls {
    let mut calls = Calls::new();
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut ready, None).unwrap();
        if ready[0].revents().contains(PollFlags::HUP) {
            return calls;
        }
        // SAFETY: plain numbers, of which zeros are what the kernel wants.
        let mut asked: seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes a `seccomp_notif`.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } != 0 {
            // The process was killed meanwhile.
            continue;
        }
        let request = u32::try_from(asked.data.args[1] & u64::from(u32::MAX)).unwrap();
        let number = calls.entry(request).or_insert(0);
        let place = Place { request, number: *number };
        *number += 1;
        let mut response = seccomp_notif_resp { id: asked.id, val: 0, error: 0, flags: 0 };
        match fault {
            Some((at, errno)) if at == place => response.error = -errno,
            _ => response.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap(),
        }
        // SAFETY: the kernel reads a `seccomp_notif_resp`. An error means that the process was killed meanwhile.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    }
}

/// Makes the kernel ask about the KVM ioctls of this thread and of all that it starts, from now on; about `KVM_RUN` only if `runs`.
fn listen(runs: bool) -> io::Result<OwnedFd> {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    /// The low half of the second argument.
    const REQUEST: u32 = 24;
    let step = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let load = |at| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let equals = |value, yes, no| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let answer = |value| step(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let ioctl = u32::try_from(libc::SYS_ioctl).unwrap();
    let filter = [
        load(ARCHITECTURE),
        equals(AUDIT_ARCH_X86_64, 0, 6),
        load(NUMBER),
        equals(ioctl, 0, 4),
        load(REQUEST),
        // The condition is never true if `KVM_RUN` is to be asked about.
        equals(if runs { 0 } else { KVM_RUN }, 2, 0),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0xff00),
        equals(KVM, 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ];
    let program =
        sock_fprog { len: u16::try_from(filter.len()).unwrap(), filter: filter.as_ptr().cast_mut() };
    // SAFETY: only numbers. Processes without root rights need this for a filter.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE;
    // SAFETY: the kernel reads the program, which lives until then.
    let fd =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let fd = c_int::try_from(fd).unwrap();
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// KVM's name for an ioctl. Linux, include/uapi/linux/kvm.h.
pub(crate) fn name(request: u32) -> String {
    let name = match (request & 0xff, request >> 30) {
        (0x00, _) => "KVM_GET_API_VERSION",
        (0x01, _) => "KVM_CREATE_VM",
        (0x02, _) => "KVM_GET_MSR_INDEX_LIST",
        (0x03, _) => "KVM_CHECK_EXTENSION",
        (0x04, _) => "KVM_GET_VCPU_MMAP_SIZE",
        (0x05, _) => "KVM_GET_SUPPORTED_CPUID",
        (0x0a, _) => "KVM_GET_MSR_FEATURE_INDEX_LIST",
        (0x41, _) => "KVM_CREATE_VCPU",
        (0x42, _) => "KVM_GET_DIRTY_LOG",
        (0x46, _) => "KVM_SET_USER_MEMORY_REGION",
        (0x47, _) => "KVM_SET_TSS_ADDR",
        (0x48, _) => "KVM_SET_IDENTITY_MAP_ADDR",
        (0x60, _) => "KVM_CREATE_IRQCHIP",
        (0x61, _) => "KVM_IRQ_LINE",
        (0x62, _) => "KVM_GET_IRQCHIP",
        (0x6a, _) => "KVM_SET_GSI_ROUTING",
        (0x76, _) => "KVM_IRQFD",
        (0x77, _) => "KVM_CREATE_PIT2",
        (0x79, _) => "KVM_IOEVENTFD",
        (0x80, _) => "KVM_RUN",
        (0x81, _) => "KVM_GET_REGS",
        (0x82, _) => "KVM_SET_REGS",
        (0x83, _) => "KVM_GET_SREGS",
        (0x84, _) => "KVM_SET_SREGS",
        (0x88, _) => "KVM_GET_MSRS",
        (0x89, _) => "KVM_SET_MSRS",
        (0x8c, _) => "KVM_GET_FPU",
        (0x8e, _) => "KVM_GET_LAPIC",
        (0x8f, _) => "KVM_SET_LAPIC",
        (0x90, _) => "KVM_SET_CPUID2",
        (0x91, _) => "KVM_GET_CPUID2",
        (0x98, _) => "KVM_GET_MP_STATE",
        (0x9a, _) => "KVM_NMI",
        (0x9b, _) => "KVM_SET_GUEST_DEBUG",
        (0x9c, _) => "KVM_X86_SETUP_MCE",
        (0x9d, _) => "KVM_X86_GET_MCE_CAP_SUPPORTED",
        (0x9f, 2) => "KVM_GET_VCPU_EVENTS",
        (0xa1, _) => "KVM_GET_DEBUGREGS",
        (0xa2, 0) => "KVM_SET_TSC_KHZ",
        (0xa3, 0) => "KVM_GET_TSC_KHZ",
        (0xa3, 1) => "KVM_ENABLE_CAP",
        (0xa4, _) => "KVM_GET_XSAVE",
        (0xa5, 1) => "KVM_SIGNAL_MSI",
        (0xa6, _) => "KVM_GET_XCRS",
        (0xad, _) => "KVM_KVMCLOCK_CTRL",
        (0xbe, _) => "KVM_GET_NESTED_STATE",
        (0xcc, _) => "KVM_GET_SREGS2",
        (0xce, _) => "KVM_GET_STATS_FD",
        (0xcf, _) => "KVM_GET_XSAVE2",
        _ => return format!("KVM's ioctl {request:#x}"),
    };
    name.to_owned()
}
