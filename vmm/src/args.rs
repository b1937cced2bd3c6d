//! The options of a machine, as the user wrote them: not yet checked against each other or the host.

mod cloud;
mod heading;
mod jail;
mod sandbox;
mod script;
mod seconds;
mod snapshot;

use std::{ffi::OsString, path::PathBuf};

use arch::cpu::spec::Nested;
use clap::{Parser, ValueEnum, builder::ArgPredicate};
use devices::platform::DebugExit;

pub use self::cloud::CloudArgs;
pub use self::jail::JailArgs;
pub use self::sandbox::{SandboxArgs, SandboxMode};
pub use self::script::{ScriptArgs, Step};
pub(crate) use self::seconds::seconds;
pub use self::snapshot::{RestoreMemory, SnapshotArgs};

/// The options of a machine.
#[expect(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these are texts for a terminal"
)]
#[derive(Debug, Parser)]
pub struct MachineArgs {
    /// A bzImage, or an ELF vmlinux
    ///
    /// A bzImage, or an ELF vmlinux, which is started by PVH if it has the note, and else by its 64-bit entry. It may be a pipe
    #[arg(long, help_heading = heading::KERNEL, value_name = "FILE")]
    pub kernel: Option<PathBuf>,

    /// Initial RAM disk
    #[arg(long, help_heading = heading::KERNEL, value_name = "FILE", visible_alias = "initrd")]
    pub initramfs: Option<PathBuf>,

    /// Kernel command line
    ///
    /// The kernel's command line [default: console=ttyS0]
    #[arg(long, help_heading = heading::KERNEL, value_name = "TEXT", visible_alias = "append")]
    pub cmdline: Option<String>,

    /// Start a disk's boot loader by SeaBIOS or OVMF
    ///
    /// Firmware, which starts a disk's own boot loader, or loads the kernel of --kernel: bios (SeaBIOS), uefi (OVMF), or an image; with
    /// ,vars=PATH, UEFI's variables are kept in that file. Without this and --kernel, the first disk's partitions tell which
    #[arg(long, help_heading = heading::KERNEL, value_name = "bios|uefi|PATH", alias = "bios")]
    pub firmware: Option<OsString>,

    /// Devices to start from, such as order=disk1
    ///
    /// The devices that firmware starts from: order=DEVICE,DEVICE... (disk1, net0, cdrom, an id= ..., or QEMU's letters) and menu=on, for
    /// its menu
    #[arg(long, help_heading = heading::KERNEL, value_name = "ORDER")]
    pub boot: Option<OsString>,

    /// The host's, or a model and its features; or help
    ///
    /// CPU: host-passthrough (also: host, max), host-model, or a model, each with
    /// [,+FEATURE|,-FEATURE|,FEATURE[=on|off]|,PROPERTY=VALUE]...[,check|,enforce]; or file:PATH, libvirt's <cpu> element or what `nvmm cpu
    /// baseline` printed; or help, to list models and features. Properties: pmu, kvm, migratable, vendor, family, model, stepping,
    /// model-id, level, min-level, xlevel, min-xlevel, phys-bits, host-phys-bits, host-phys-bits-limit, guest-phys-bits, host-cache-info,
    /// l3-cache, caches, tsc-frequency, vmware-cpuid-freq, kvm-pv-enforce-cpuid
    #[arg(long, help_heading = heading::CPU, value_name = "SPEC", default_value = "host-passthrough", hide_default_value = true)]
    pub cpu: String,

    /// VMX or SVM in the guest
    ///
    /// VMX or SVM in the guest: off (no trace of it), auto (as the CPU says), or on (added to any CPU, or nvmm refuses to start)
    #[arg(long, help_heading = heading::CPU, value_name = "off|auto|on", default_value = "auto", value_parser = nested)]
    pub nested: Nested,

    /// vCPUs; also N,sockets=N,cores=N,threads=N
    ///
    /// vCPUs: N, or [cpus=]N[,sockets=N][,dies=N][,cores=N][,threads=N]; missing numbers as in QEMU [default: 1]
    #[arg(long, help_heading = heading::CPU, value_name = "N")]
    pub smp: Option<String>,

    /// Memory, in MiB or with K, M, G, T
    ///
    /// Memory: SIZE, or size=SIZE[,hugepages=on][,prefault=on]; SIZE in MiB or with K, M, G, T
    #[arg(long, short, help_heading = heading::CPU, value_name = "SIZE", default_value = "512M")]
    pub memory: String,

    /// An image or a block device; repeatable
    ///
    /// Disk: PATH, or path=PATH[,KEY=VALUE]...; repeatable, in order. A comma in PATH is written twice. Keys: format=raw|qcow2|vmdk,
    /// overlay=PATH|temp, backing-root=DIR, readonly=on, direct=on, cache=writeback|writethrough|unsafe, discard=on|off,
    /// aio=io_uring|threads, queues=N, queue-size=N, iops=N, bw=SIZE, serial=TEXT, id=NAME, bus=virtio|sata
    #[arg(long, help_heading = heading::DISKS, value_name = "DISK")]
    pub disk: Vec<OsString>,

    /// A CD-ROM drive, and the image in it
    ///
    /// CD-ROM drive, on SATA: the image that is in it, or none, for an empty one
    #[arg(long, help_heading = heading::DISKS, value_name = "PATH|none")]
    pub cdrom: Option<OsString>,

    /// user, bridge=NAME, tap=NAME, none; repeatable
    ///
    /// Network device: user[,hostfwd=tcp|udp:[HOST]:PORT-:GUESTPORT]... (by passt), bridge=BRIDGE[,helper=PATH], tap=INTERFACE (made if
    /// there is none), tap[,fd=N|,fds=N:N...], or none; repeatable, in order. Keys of any: mac=MAC, mtu=N, queues=N, vhost=auto|on|off,
    /// id=NAME, offload=off
    #[arg(long, help_heading = heading::NETWORK, value_name = "PLACE")]
    pub net: Vec<OsString>,

    /// Random bytes
    ///
    /// Random bytes for the guest, by virtio-rng: off, or the file or device that they are read from
    #[arg(long, help_heading = heading::DEVICES, value_name = "off|PATH", default_value = "/dev/urandom")]
    pub rng: OsString,

    /// Take back memory that the guest has freed
    ///
    /// A virtio-balloon, by which the guest gives memory back that it does not use
    #[arg(long, help_heading = heading::DEVICES)]
    pub balloon: bool,

    /// Sockets between host and guest
    ///
    /// Sockets between the host and the guest, by virtio-vsock: cid=N, the guest's address, for the host's AF_VSOCK sockets (by the
    /// kernel's vhost-vsock). With uds=PATH a unix socket instead, at which a program says CONNECT PORT; the guest reaches programs that
    /// listen at PATH_PORT
    #[arg(long, help_heading = heading::NETWORK, value_name = "cid=N[,uds=PATH]")]
    pub vsock: Option<OsString>,

    /// A screen and its keyboard
    ///
    /// Screen: none, or vga, a VGA with a PS/2 keyboard and a tablet: on the control socket, screendump saves its picture, and send-key
    /// presses keys; or vnc=HOST:N or vnc=unix:PATH, the same for VNC viewers, who connect to the port 5900+N or to a unix socket; an empty
    /// HOST is 127.0.0.1. Keys there: password-file=PATH, whose first line they need to know, and to=N, the last display to try. Keys of
    /// both: xres=N,yres=N, the size that the guest is told to prefer [default there: 1280 by 800]
    #[arg(long, help_heading = heading::DEVICES, value_name = "none|vga|vnc=PLACE", default_value = "none")]
    pub display: OsString,

    /// The options for cloud images.
    #[command(flatten)]
    pub cloud: CloudArgs,

    /// COM1 first; repeatable
    ///
    /// Serial port, COM1 first, up to four: stdio, null, file=PATH[,append=on], pty[=LINK], tcp=HOST:PORT[,server[,wait]][,telnet=on] or
    /// unix=PATH[,server[,wait]], each with [,log=FILE], or QEMU's words. A comma in a path is written twice
    #[arg(long, help_heading = heading::SERIAL, value_name = "stdio|file=PATH|...", default_value = "stdio")]
    #[arg(default_value_if("daemonize", ArgPredicate::IsPresent, "null"))]
    pub serial: Vec<OsString>,

    /// Texts to wait for on COM1, and answers.
    #[command(flatten)]
    pub script: ScriptArgs,

    /// The machine's name
    ///
    /// The machine's name, as query-name on the control socket tells it. The guest does not see it. A comma in it is written twice
    #[arg(long, help_heading = heading::IDENTITY, value_name = "NAME")]
    pub name: Option<OsString>,

    /// The machine's UUID [default: none]
    #[arg(long, help_heading = heading::IDENTITY, value_name = "UUID")]
    pub uuid: Option<String>,

    /// type=1,serial=7 and others; repeatable
    ///
    /// The machine's values in SMBIOS: type=N,KEY=VALUE...; repeatable, with QEMU's types and keys: 0 BIOS, 1 system, 2 board, 3 chassis, 4
    /// processors, 11 OEM strings, 17 memory
    #[arg(long, help_heading = heading::IDENTITY, value_name = "VALUES")]
    pub smbios: Vec<OsString>,

    /// A file in QEMU's fw_cfg; repeatable
    ///
    /// A file that the guest finds in QEMU's fw_cfg, in Linux by the driver qemu_fw_cfg: NAME,file=PATH or NAME,string=TEXT; repeatable.
    /// Names begin with opt/: systemd takes credentials from opt/io.systemd.credentials/, Ignition its configuration from
    /// opt/com.coreos/config
    #[arg(long, help_heading = heading::IDENTITY, value_name = "NAME,file=PATH")]
    pub fw_cfg: Vec<OsString>,

    /// On reboot or triple fault
    ///
    /// The answer to the guest's reboot or triple fault: reset the whole machine, or exit. The third triple fault in ten seconds always
    /// ends nvmm
    #[arg(long, help_heading = heading::RUNNING, value_name = "reset|exit", value_enum, default_value_t, hide_possible_values = true)]
    pub on_reboot: OnReboot,

    /// On a panic of the guest's kernel
    ///
    /// Plug in pvpanic, by which the guest's kernel says that it panics, and what that does: exit with status 12, pause the machine, or
    /// reset it; the third panic in ten seconds ends nvmm instead of a reset
    #[arg(long, help_heading = heading::RUNNING, value_name = "exit|pause|reset", value_enum, hide_possible_values = true)]
    pub on_panic: Option<OnPanic>,

    /// Time to power off
    ///
    /// The time that the guest has to power off after SIGTERM
    #[arg(long, help_heading = heading::RUNNING, value_name = "SECONDS", default_value_t = 60, value_parser = seconds::<u32>)]
    pub grace: u32,

    /// I/O port that ends nvmm
    ///
    /// I/O port that ends nvmm with status (value << 1) | 1, as QEMU's isa-debug-exit
    #[arg(long, help_heading = heading::RUNNING, value_name = "PORT", value_parser = port)]
    pub debug_exit: Option<u16>,

    /// Control socket: QMP, and nvmm ctl
    ///
    /// Control socket, on which programs speak QMP as with QEMU, and nvmm ctl for people; or QEMU's unix:PATH,server=on,wait=off
    #[arg(long, help_heading = heading::CONTROL, value_name = "PATH")]
    pub qmp: Option<OsString>,

    /// Debug the guest: tcp:HOST:PORT or unix:PATH
    ///
    /// Have gdb debug the guest, by its target remote: tcp:HOST:PORT, where an empty HOST is 127.0.0.1, or unix:PATH
    #[arg(long, help_heading = heading::CONTROL, value_name = "PLACE")]
    pub gdb: Option<OsString>,

    /// Wait for gdb, Ctrl-A p or the control socket
    ///
    /// Don't run the guest before a debugger, Ctrl-A p or the control socket says so
    #[arg(long, help_heading = heading::CONTROL)]
    pub paused: bool,

    /// Run in the background
    ///
    /// Run in the background: nvmm returns with status 0 once the machine is there, or with its messages and its status if it can't be had.
    /// From then on it has no terminal: its messages are lost without --log-file, and COM1 is null unless --serial places it
    #[arg(long, help_heading = heading::RUNNING)]
    pub daemonize: bool,

    /// Write the process's number to a file
    ///
    /// Write the number of nvmm's process to this file once the machine is there, and remove it at the end. No two machines that run have
    /// the same
    #[arg(long, help_heading = heading::RUNNING, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,

    /// Write KVM's counts to a file at the end
    ///
    /// At the end write what KVM counted, such as exits by reason, as JSON
    #[arg(long, help_heading = heading::RUNNING, value_name = "FILE")]
    pub stats: Option<PathBuf>,

    /// Write messages to a file
    ///
    /// Write nvmm's messages to the end of this file, rather than to stderr, from when the machine is there
    #[arg(long, help_heading = heading::RUNNING, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// The options of snapshots.
    #[command(flatten)]
    pub snapshot: SnapshotArgs,

    /// The options of a jail.
    #[command(flatten)]
    pub jail: JailArgs,

    /// The options of the sandbox.
    #[command(flatten)]
    pub sandbox: SandboxArgs,

    /// Print the machine that would run, and end
    #[arg(long, help_heading = heading::RUNNING)]
    pub dry_run: bool,

    /// With --dry-run: print JSON
    #[arg(long, help_heading = heading::RUNNING, requires = "dry_run")]
    pub json: bool,

    /// Run a machine of libvirt's
    ///
    /// Start the machine that libvirt's domain XML describes, as `virsh dumpxml` prints it. Options that are given besides replace the
    /// file's
    #[arg(long, help_heading = heading::OTHERS, value_name = "FILE")]
    pub domain: Option<PathBuf>,

    /// The text of that file. It is read only once, since it may be a pipe.
    #[arg(skip)]
    pub domain_text: Option<String>,

    /// Print nvmm's words for a line of QEMU's
    ///
    /// Print nvmm's words for a whole command line of QEMU's, given as one text, and end
    #[arg(long, help_heading = heading::OTHERS, value_name = "LINE", exclusive = true)]
    pub from_qemu: Option<OsString>,

    /// KVM's device node
    #[arg(long, value_name = "PATH", default_value = "/dev/kvm")]
    pub kvm: PathBuf,

    /// More messages; -vv and -vvv: still more
    ///
    /// More messages on stderr: -v tells what the guest gets, -vv what it does, -vvv everything
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The options of an empty command line.
impl Default for MachineArgs {
    fn default() -> Self {
        Self::parse_from(["nvmm"])
    }
}

/// The action on a reboot of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnReboot {
    /// Reset the whole machine and boot again
    #[default]
    Reset,
    /// End, with status 0, or 4 for a triple fault
    Exit,
}

/// The action on a panic of the guest's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnPanic {
    /// End, with status 12
    Exit,
    /// Pause the machine
    Pause,
    /// Reset the whole machine and boot again
    Reset,
}

/// Parses the value of `--nested`.
pub(crate) fn nested(text: &str) -> Result<Nested, String> {
    text.parse().map_err(|()| "give off, auto or on".to_owned())
}

fn port(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    // All of its ports must exist.
    let last = u64::from(u16::MAX) - (DebugExit::LEN - 1);
    parsed.ok().filter(|&port| u64::from(port) <= last).ok_or_else(|| {
        format!("give the first of four I/O ports, from 0 to {last} or 0x0 to {last:#x}, such as 0xf4")
    })
}
