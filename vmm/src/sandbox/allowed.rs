//! The system calls that each thread may make, and the reason for each.
//!
//! A call that is not listed ends nvmm. The lists come from runs of all tests with `--sandbox log`, and from reading the code. No listed
//! call allows a thread to open a network connection that nobody asked for, to run a program, or to reach another process.

use bitflags::bitflags;
use kvm_bindings::{
    KVMIO, kvm_cpuid2, kvm_debugregs, kvm_dirty_log, kvm_ioeventfd, kvm_irq_level, kvm_irqfd, kvm_msi,
    kvm_msr_list, kvm_msrs, kvm_nested_state, kvm_regs, kvm_sregs, kvm_translation,
    kvm_userspace_memory_region, kvm_vcpu_events,
};
use libc::{
    CLONE_FILES, CLONE_FS, CLONE_SIGHAND, CLONE_THREAD, CLONE_VM, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD,
    F_SETFL, PROT_EXEC, c_int, c_long,
};
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr};

bitflags! {
    /// Kinds of threads, and additional tasks of a thread.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) struct Who: u32 {
        /// The main loop.
        const MAIN = 1 << 0;
        /// Builds, runs and takes down machines.
        const MACHINE = 1 << 1;
        /// Runs a vCPU.
        const VCPU = 1 << 2;
        /// Serves queues of a device other than a disk.
        const QUEUE = 1 << 3;
        /// Serves a queue of a disk.
        const DISK = 1 << 13;
        /// Connects to the host's unix sockets for the guest (`--vsock uds=`).
        const SOCKETS = 1 << 4;
        /// Writes output to its destination.
        const OUTPUT = 1 << 5;
        /// Writes UEFI variables to their file.
        const VARIABLES = 1 << 6;
        /// Copies stdin into a pipe.
        const INPUT = 1 << 7;
        /// Serves a debugger.
        const GDB = 1 << 8;
        /// Accepts viewers' connections, or serves one.
        const VNC = 1 << 9;
        /// Asks KVM about CPU models.
        const MODELS = 1 << 10;
        /// Starts the other threads.
        const SPAWNER = 1 << 11;
        /// Connects to servers, and reconnects when they hang up (`--serial unix=`, `tcp=`).
        const CLIENT = 1 << 12;
        /// Prepares the kernel's vsock device for a new driver by opening it again (`--vsock` without `uds=`).
        const REOPENS = 1 << 14;
        /// Reads or writes parts of a snapshot's memory.
        const MEMORY = 1 << 15;
        /// Sends memory to another nvmm by a connection that was passed over the control socket.
        const MIGRATION = 1 << 16;
    }
}

/// All threads except the spawner.
const WORKING: Who = Who::all().difference(Who::SPAWNER);
/// Threads that may make a device interrupt.
const INTERRUPTING: Who = WORKING.difference(Who::MODELS.union(Who::MEMORY).union(Who::MIGRATION));
/// Threads that activate and stop devices.
const ACTIVATES: Who = Who::VCPU.union(Who::MACHINE);
const TAPS: Who = ACTIVATES.union(Who::QUEUE).union(Who::MAIN);
/// Threads that access disks.
const DISKS: Who = Who::DISK.union(FILES);
const STATS: Who = REMOVING.union(Who::DISK).union(Who::INPUT).union(Who::VCPU);
/// Threads that accept connections.
const SERVERS: Who = Who::MAIN.union(Who::SOCKETS).union(Who::GDB).union(Who::VNC);
/// Threads that use connections.
const CONNECTED: Who = SERVERS.union(Who::OUTPUT).union(Who::QUEUE).union(ACTIVATES).union(Who::MIGRATION);
/// Threads that open or replace files.
const FILES: Who = Who::MACHINE.union(Who::VARIABLES);
/// Threads that may drop the last handle of a listener, and then remove its socket.
const REMOVING: Who = FILES.union(SERVERS);
/// Threads that look after passt.
const PROCESSES: Who = ACTIVATES.union(Who::QUEUE).union(Who::MAIN);

/// A rule that allows a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// The number.
    pub(super) call: u32,
    /// The conditions on its arguments, all of which must hold.
    pub(super) when: &'static [Arg],
    /// The threads that may make it.
    pub(super) who: Who,
    /// Set if the call always fails with this error, as on a kernel without it.
    pub(super) fails: Option<u16>,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg {
    /// The index, from 0.
    pub(super) index: u8,
    /// The bits that are compared.
    pub(super) mask: u32,
    /// The allowed values of these bits.
    pub(super) values: Values,
}

/// Allowed values of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    /// One of these.
    Any(&'static [u32]),
    /// nvmm's process ID.
    OwnProcess,
}

/// A rule for a call with any arguments.
const fn any(call: c_long, who: Who, why: &str) -> Allowed {
    only(call, &[], who, why)
}

/// A rule for a call with some arguments.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of calls are small")]
const fn only(call: c_long, when: &'static [Arg], who: Who, _why: &str) -> Allowed {
    Allowed { call: call as u32, when, who, fails: None }
}

/// A rule for a call that the C library can do without.
#[expect(clippy::cast_possible_truncation, reason = "errors' numbers are small")]
const fn missing(call: c_long, who: Who, why: &str) -> Allowed {
    Allowed { fails: Some(libc::ENOSYS as u16), ..any(call, who, why) }
}

const fn is(index: u8, values: &'static [u32]) -> Arg {
    Arg { index, mask: u32::MAX, values: Values::Any(values) }
}

#[expect(clippy::cast_sign_loss, reason = "bits of a number")]
const fn bits(value: c_int) -> u32 {
    value as u32
}

/// KVM's ioctls of any kind.
const OF_KVM: Arg = Arg { index: 1, mask: 0xff00, values: Values::Any(&[KVMIO << 8]) };
/// vhost's: linux/vhost.h.
const OF_VHOST: Arg = Arg { index: 1, mask: 0xff00, values: Values::Any(&[0xaf00]) };

/// The number of a KVM ioctl whose argument is a `T`, or which has no such argument.
#[expect(clippy::cast_possible_truncation, reason = "ioctls have 32 bits, and these types are small")]
const fn kvm<T>(direction: u32, number: u32) -> u32 {
    ioctl_expr(direction, KVMIO, number, size_of::<T>() as u32) as u32
}

const KVM_RUN: u32 = kvm::<()>(_IOC_NONE, 0x80);
const KVM_IRQ_LINE: u32 = kvm::<kvm_irq_level>(_IOC_WRITE, 0x61);
const KVM_SIGNAL_MSI: u32 = kvm::<kvm_msi>(_IOC_WRITE, 0xa5);
const KVM_IOEVENTFD: u32 = kvm::<kvm_ioeventfd>(_IOC_WRITE, 0x79);
const KVM_IRQFD: u32 = kvm::<kvm_irqfd>(_IOC_WRITE, 0x76);
const KVM_SET_GSI_ROUTING: u32 = kvm::<[u32; 2]>(_IOC_WRITE, 0x6a);
const KVM_SET_USER_MEMORY_REGION: u32 = kvm::<kvm_userspace_memory_region>(_IOC_WRITE, 0x46);
const KVM_GET_DIRTY_LOG: u32 = kvm::<kvm_dirty_log>(_IOC_WRITE, 0x42);
const KVM_GET_REGS: u32 = kvm::<kvm_regs>(_IOC_READ, 0x81);
const KVM_GET_SREGS: u32 = kvm::<kvm_sregs>(_IOC_READ, 0x83);
const KVM_TRANSLATE: u32 = kvm::<kvm_translation>(_IOC_READ | _IOC_WRITE, 0x85);
const KVM_GET_DEBUGREGS: u32 = kvm::<kvm_debugregs>(_IOC_READ, 0xa1);
const KVM_SET_DEBUGREGS: u32 = kvm::<kvm_debugregs>(_IOC_WRITE, 0xa2);
const KVM_GET_VCPU_EVENTS: u32 = kvm::<kvm_vcpu_events>(_IOC_READ, 0x9f);
const KVM_SET_VCPU_EVENTS: u32 = kvm::<kvm_vcpu_events>(_IOC_WRITE, 0xa0);
const KVM_GET_NESTED_STATE: u32 = kvm::<kvm_nested_state>(_IOC_READ | _IOC_WRITE, 0xbe);
const KVM_GET_API_VERSION: u32 = kvm::<()>(_IOC_NONE, 0x00);
const KVM_CHECK_EXTENSION: u32 = kvm::<()>(_IOC_NONE, 0x03);
const KVM_GET_VCPU_MMAP_SIZE: u32 = kvm::<()>(_IOC_NONE, 0x04);
const KVM_GET_SUPPORTED_CPUID: u32 = kvm::<kvm_cpuid2>(_IOC_READ | _IOC_WRITE, 0x05);
const KVM_GET_MSR_FEATURE_INDEX_LIST: u32 = kvm::<kvm_msr_list>(_IOC_READ | _IOC_WRITE, 0x0a);
const KVM_GET_MSRS: u32 = kvm::<kvm_msrs>(_IOC_READ | _IOC_WRITE, 0x88);
const KVM_X86_GET_MCE_CAP_SUPPORTED: u32 = kvm::<u64>(_IOC_READ, 0x9d);

/// The terminal's, asm-generic/ioctls.h: TCGETS, TCSETS to TCSETSF, TIOCGPGRP, TIOCGWINSZ, TCGETS2, TCSETS2 to TCSETSF2. TIOCSTI, which types
/// into it, is not among them.
const TERMINAL: &[u32] =
    &[0x5401, 0x5402, 0x5403, 0x5404, 0x540f, 0x5413, 0x802c_542a, 0x402c_542b, 0x402c_542c, 0x402c_542d];
/// The bits that make a clone a thread of this process.
const THREAD: u32 = bits(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD);

/// Neither memory nor a file is mapped executable.
const NO_CODE: &[Arg] = &[Arg { index: 2, mask: bits(PROT_EXEC), values: Values::Any(&[0]) }];
const OWN_PROCESS: Arg = Arg { index: 0, mask: u32::MAX, values: Values::OwnProcess };
const IS_THREAD: Arg = Arg { index: 0, mask: THREAD, values: Values::Any(&[THREAD]) };
const FCNTL: &[u32] = &[bits(F_DUPFD_CLOEXEC), bits(F_GETFL), bits(F_SETFL), bits(F_GETFD), bits(F_SETFD)];
const STARTS: &[u32] = &[bits(libc::PR_SET_NAME), bits(libc::PR_SET_NO_NEW_PRIVS)];
const INTERRUPTS: &[u32] = &[KVM_IRQ_LINE, KVM_SIGNAL_MSI];
const PLACES: &[u32] = &[KVM_IOEVENTFD, KVM_IRQFD, KVM_SET_GSI_ROUTING, KVM_SET_USER_MEMORY_REGION];
const CRASH: &[u32] = &[KVM_GET_REGS, KVM_GET_SREGS, KVM_TRANSLATE, KVM_GET_NESTED_STATE];
const EXCEPTIONS: &[u32] = &[KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS];
const OFFER: &[u32] = &[
    KVM_GET_API_VERSION,
    KVM_CHECK_EXTENSION,
    KVM_GET_VCPU_MMAP_SIZE,
    KVM_GET_SUPPORTED_CPUID,
    KVM_GET_MSR_FEATURE_INDEX_LIST,
    KVM_GET_MSRS,
    KVM_X86_GET_MCE_CAP_SUPPORTED,
];
/// `TUNGETIFF`, `TUNSETOFFLOAD`, `TUNSETVNETHDRSZ` and `TUNSETQUEUE`: linux/if_tun.h.
const TAP: &[u32] = &[0x8004_54d2, 0x4004_54d0, 0x4004_54d8, 0x4004_54d9];
const FIONREAD: u32 = 0x541b;
const TIOCGPTPEER: u32 = 0x5441;
const ANY_FAMILY: &[u32] = &[bits(libc::AF_UNIX), bits(libc::AF_INET), bits(libc::AF_INET6)];
const SOCKET_LEVELS: &[u32] = &[bits(libc::SOL_SOCKET), bits(libc::IPPROTO_TCP)];
/// The type of a socket without its flags: `SOCK_TYPE_MASK`, linux/net.h.
const STREAM: Arg = Arg { index: 1, mask: 0xf, values: Values::Any(&[bits(libc::SOCK_STREAM)]) };
const LOCKS: &[u32] = &[bits(libc::F_OFD_GETLK), bits(libc::F_OFD_SETLK)];
/// The block sizes of block devices: linux/fs.h.
const BLOCK_SIZES: &[u32] = &[0x1268, 0x127b];

/// All rules by the number of their call. Of the rules for one call, the most frequent come first.
pub(super) static TABLE: [Allowed; RULES.len()] = by_call(RULES);

/// Sorts rules when nvmm is built, as filters are compiled from sorted ones at each start.
const fn by_call<const N: usize>(rules: &[Allowed]) -> [Allowed; N] {
    let mut sorted = [rules[0]; N];
    let mut len = 1;
    while len < N {
        let mut at = len;
        // Rules for the same call keep their order.
        while at > 0 && sorted[at - 1].call > rules[len].call {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = rules[len];
        len += 1;
    }
    sorted
}

/// The rules by subject. Of the rules for one call, the most frequent come first.
const RULES: &[Allowed] = &[
    // Calls of every Rust program's threads.
    any(libc::SYS_futex, Who::all(), "locks and channels"),
    any(libc::SYS_read, Who::all(), "what is open: eventfds, sockets, files"),
    any(libc::SYS_write, Who::all(), "what is open, and messages"),
    any(libc::SYS_readv, Who::all(), "the same, in parts"),
    any(libc::SYS_writev, Who::all(), "the same, in parts"),
    any(libc::SYS_close, Who::all(), "what is open"),
    any(libc::SYS_fstat, Who::all(), "what is open"),
    any(libc::SYS_lseek, Who::all(), "what is open: KVM's counts, files of disks"),
    any(libc::SYS_brk, Who::all(), "malloc"),
    only(libc::SYS_mmap, NO_CODE, Who::all(), "malloc, stacks of threads, vCPUs' run pages; no new code"),
    only(libc::SYS_mprotect, NO_CODE, Who::all(), "malloc, guard pages of stacks; no new code"),
    any(libc::SYS_munmap, Who::all(), "malloc, stacks of threads"),
    any(libc::SYS_mremap, Who::all(), "realloc; what is mapped keeps its rights"),
    any(libc::SYS_madvise, Who::all(), "malloc, stacks of threads, memory that the guest gives back"),
    any(libc::SYS_rt_sigprocmask, Who::all(), "threads' starts and ends, SIGTSTP"),
    any(libc::SYS_rt_sigreturn, Who::all(), "the end of every signal handler"),
    any(libc::SYS_rt_sigaction, Who::all(), "abort, and signals that end nvmm"),
    any(libc::SYS_sigaltstack, Who::all(), "threads' ends"),
    any(libc::SYS_restart_syscall, Who::all(), "the kernel's own, after a stop"),
    any(libc::SYS_exit, Who::all(), "threads' ends"),
    any(libc::SYS_exit_group, Who::all(), "nvmm's end"),
    any(libc::SYS_getpid, Who::all(), "raise, abort"),
    any(libc::SYS_gettid, Who::all(), "raise, abort, a panic's message"),
    any(libc::SYS_getpgrp, Who::all(), "giving the terminal back"),
    only(libc::SYS_tgkill, &[OWN_PROCESS], Who::all(), "raise, abort, taking a vCPU out of KVM_RUN"),
    any(libc::SYS_clock_gettime, Who::all(), "clocks that the vDSO does not have"),
    any(libc::SYS_nanosleep, Who::all(), "pauses"),
    any(libc::SYS_clock_nanosleep, Who::all(), "pauses"),
    any(libc::SYS_sched_yield, Who::all(), "channels of std"),
    any(libc::SYS_poll, Who::all(), "what is open"),
    any(libc::SYS_ppoll, Who::all(), "what is open"),
    any(libc::SYS_getrandom, Who::all(), "HashMap's keys, names of temporary files"),
    only(libc::SYS_fcntl, &[is(1, FCNTL)], Who::all(), "eventfds for each user, flags of sockets"),
    only(libc::SYS_prctl, &[is(0, &[bits(libc::PR_GET_NAME)])], Who::all(), "a refused call's message"),
    any(libc::SYS_eventfd2, Who::all(), "wakes between threads"),
    any(libc::SYS_timerfd_settime, Who::all(), "an output's timer, which every message sets"),
    any(libc::SYS_timerfd_create, Who::all(), "an output's timer, and those of devices"),
    // ioctls, the most frequent first.
    only(libc::SYS_ioctl, &[is(1, &[KVM_RUN])], Who::VCPU, "running the guest"),
    only(
        libc::SYS_ioctl,
        &[is(1, INTERRUPTS)],
        INTERRUPTING,
        "interrupts of devices, by whoever gives them input",
    ),
    only(
        libc::SYS_ioctl,
        &[is(1, &[KVM_GET_DIRTY_LOG])],
        Who::VNC,
        "the parts of the screen that have changed",
    ),
    only(libc::SYS_ioctl, &[is(1, &[KVM_GET_DIRTY_LOG])], Who::MIGRATION, "the memory that has changed"),
    only(libc::SYS_ioctl, &[OF_KVM], Who::MACHINE, "building a machine anew, and looking into it"),
    only(libc::SYS_ioctl, &[is(1, PLACES)], Who::VCPU, "drivers place BARs, and mask vectors"),
    only(libc::SYS_ioctl, &[is(1, CRASH)], Who::VCPU, "the report of a crash"),
    only(
        libc::SYS_ioctl,
        &[is(1, EXCEPTIONS)],
        Who::VCPU,
        "a guest's own #BP and #DB, which go back to it from the debugger",
    ),
    only(libc::SYS_ioctl, &[is(1, OFFER)], Who::MODELS, "the CPU that KVM offers"),
    only(
        libc::SYS_ioctl,
        &[OF_VHOST],
        ACTIVATES,
        "handing queues to the kernel (vhost), and taking them back",
    ),
    only(
        libc::SYS_ioctl,
        &[is(1, TAP)],
        TAPS,
        "the offloads and queues of a tap, and whether it is still there",
    ),
    only(libc::SYS_ioctl, &[is(1, &[FIONREAD])], Who::MAIN, "whether a peer has sent more before it hung up"),
    only(
        libc::SYS_ioctl,
        &[is(1, &[TIOCGPTPEER])],
        Who::MAIN,
        "the other side of a pseudoterminal (--serial pty)",
    ),
    only(libc::SYS_ioctl, &[is(1, BLOCK_SIZES)], DISKS, "the blocks of a disk that is a device"),
    only(libc::SYS_ioctl, &[is(1, TERMINAL)], Who::all(), "giving the terminal back, also when nvmm dies"),
    // Waiting.
    any(libc::SYS_epoll_wait, WORKING, "events"),
    any(libc::SYS_epoll_ctl, WORKING, "events of what has come since"),
    any(libc::SYS_epoll_create1, WORKING, "the main loop, and devices' workers"),
    // Open sockets, and their peers.
    any(libc::SYS_accept4, SERVERS, "clients, viewers, debuggers, programs"),
    any(libc::SYS_recvfrom, CONNECTED, "what they send; news of network interfaces"),
    any(libc::SYS_sendto, CONNECTED, "what they get; the service manager"),
    any(libc::SYS_recvmsg, CONNECTED, "the same, in parts"),
    any(libc::SYS_sendmsg, CONNECTED, "the same, in parts"),
    any(libc::SYS_shutdown, CONNECTED, "the end of a connection"),
    any(libc::SYS_getsockname, CONNECTED, "a connection to itself; where viewers connect"),
    any(libc::SYS_getpeername, CONNECTED, "who has connected"),
    any(libc::SYS_getsockopt, CONNECTED, "errors of connecting"),
    only(libc::SYS_setsockopt, &[is(1, SOCKET_LEVELS)], CONNECTED, "TCP without delay, keepalives"),
    only(libc::SYS_socket, &[is(0, ANY_FAMILY), STREAM], Who::CLIENT, "--serial tcp=, unix= without server"),
    any(libc::SYS_connect, Who::CLIENT, "--serial tcp=, unix= without server"),
    only(
        libc::SYS_socket,
        &[is(0, &[bits(libc::AF_UNIX)]), STREAM],
        Who::SOCKETS,
        "--vsock uds=: a program of the host's",
    ),
    any(libc::SYS_connect, Who::SOCKETS, "--vsock uds=: a program of the host's"),
    // Open files.
    any(
        libc::SYS_pread64,
        DISKS.union(Who::MEMORY),
        "disks, kernels, the memory of a snapshot, the table of pages",
    ),
    any(libc::SYS_pread64, Who::MAIN, "the PID file, which may be another's by now"),
    any(libc::SYS_pread64, Who::MIGRATION, "the kernel's table of this process's pages"),
    any(libc::SYS_pread64, Who::VCPU, "kernel and initramfs, which firmware reads by fw_cfg"),
    any(libc::SYS_pwrite64, DISKS.union(Who::MEMORY), "disks, files of memory"),
    any(libc::SYS_preadv, DISKS, "disks"),
    any(libc::SYS_pwritev, DISKS, "disks"),
    any(libc::SYS_preadv2, DISKS, "disks, what is in memory already"),
    any(libc::SYS_pwritev2, DISKS, "disks"),
    any(libc::SYS_fdatasync, DISKS, "flushes of disks"),
    any(libc::SYS_fsync, DISKS, "flushes of disks, UEFI variables"),
    any(libc::SYS_ftruncate, DISKS, "images that grow, files of memory"),
    any(libc::SYS_fallocate, DISKS, "space that a guest gives back, zeros"),
    any(libc::SYS_fadvise64, DISKS, "images that are read once"),
    any(
        libc::SYS_io_uring_enter,
        Who::DISK,
        "requests on the thread's ring, which has these files and no other calls",
    ),
    any(libc::SYS_io_uring_setup, Who::SPAWNER, "that ring, before the thread has its own filter"),
    any(libc::SYS_io_uring_register, Who::SPAWNER, "its files, and what it may do"),
    any(
        libc::SYS_statx,
        STATS,
        "sizes of disks, what stdin is, whether a socket is still nvmm's, whether a kernel was changed",
    ),
    only(libc::SYS_fcntl, &[is(1, LOCKS)], DISKS, "locks of disks, of media and of UEFI variables"),
    any(libc::SYS_splice, Who::INPUT, "stdin into its pipe"),
    any(libc::SYS_sendfile, Who::INPUT, "stdin into its pipe"),
    any(libc::SYS_copy_file_range, Who::INPUT, "stdin into its pipe"),
    // Files of commands, such as screendump and dump-guest-memory, media of the CD-ROM drive, UEFI variables.
    any(libc::SYS_openat, FILES, "opening them"),
    any(libc::SYS_openat, Who::REOPENS, "/dev/vhost-vsock, which keeps connections until it is closed"),
    any(libc::SYS_newfstatat, FILES, "looking what is there"),
    any(libc::SYS_readlink, REMOVING, "following links; whether one is still nvmm's"),
    any(libc::SYS_faccessat2, REMOVING, "libc's realpath, for what comes before a .. or a / at a path's end"),
    any(libc::SYS_faccessat, REMOVING, "the same, on Linux before 5.8"),
    any(libc::SYS_getcwd, FILES, "paths that do not begin with /"),
    any(
        libc::SYS_getdents64,
        Who::MACHINE,
        "naming the user of a medium that is locked, drafts of snapshots",
    ),
    any(libc::SYS_mkdir, Who::MACHINE, "the directory of a snapshot"),
    any(libc::SYS_geteuid, Who::MACHINE, "whose files a killed nvmm may have left"),
    any(libc::SYS_flock, Who::MACHINE, "a snapshot that is not whole yet"),
    any(libc::SYS_unlinkat, Who::MACHINE, "removing one that failed"),
    any(libc::SYS_rmdir, Who::MACHINE, "removing one that failed"),
    any(libc::SYS_sched_getaffinity, Who::MACHINE, "as many threads for a snapshot as processors"),
    any(libc::SYS_uname, Who::MACHINE, "the host's kernel, which a snapshot names"),
    any(libc::SYS_fstatfs, Who::MACHINE, "file systems without direct access"),
    any(libc::SYS_fchmod, FILES, "making a file as the one that it replaces"),
    any(libc::SYS_fchown, FILES, "making a file as the one that it replaces"),
    any(libc::SYS_rename, FILES, "replacing a file by a whole one"),
    any(libc::SYS_renameat, FILES, "replacing a file by a whole one"),
    any(libc::SYS_renameat2, FILES, "replacing a file by a whole one"),
    any(libc::SYS_unlink, REMOVING, "sockets, links and the PID file at the end, and files that failed"),
    only(
        libc::SYS_dup2,
        &[is(1, &[0, 1, 2])],
        Who::MACHINE,
        "--log-file and --daemonize take stderr's place",
    ),
    // passt, which nvmm has started earlier.
    any(libc::SYS_wait4, PROCESSES, "whether it has ended, and how"),
    any(
        libc::SYS_pidfd_send_signal,
        PROCESSES,
        "its end, if it does not end by itself; no other process is open",
    ),
    // The spawner, and a new thread before it has its own filter.
    only(libc::SYS_clone, &[IS_THREAD], Who::SPAWNER, "making threads, and no processes"),
    missing(
        libc::SYS_clone3,
        Who::SPAWNER,
        "its flags are in memory, where a filter can't see them: libc takes clone",
    ),
    any(libc::SYS_rseq, Who::SPAWNER, "libc, at a thread's start"),
    any(libc::SYS_set_robust_list, Who::SPAWNER, "libc, at a thread's start"),
    any(libc::SYS_sched_getaffinity, Who::SPAWNER, "libc, where std asks for the place of a stack"),
    only(
        libc::SYS_prctl,
        &[is(0, STARTS)],
        Who::SPAWNER,
        "a thread's name, and its first step into the sandbox",
    ),
    any(libc::SYS_seccomp, Who::SPAWNER, "a thread's own filter"),
    any(libc::SYS_capget, Who::SPAWNER, "whether a thread has no rights of root's"),
    any(libc::SYS_capset, Who::SPAWNER, "giving up rights"),
    any(libc::SYS_setresuid, Who::SPAWNER, "--user: whether there is a way back"),
];

#[cfg(test)]
#[path = "allowed_test.rs"]
mod tests;
