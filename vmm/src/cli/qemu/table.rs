//! All options of QEMU's command line, each with its meaning here or the reason why it is not supported.

use super::{chardev, drive, firmware, given::Given, machine, net, screen, small, translator::Translator};

use Meaning::{By, Defines, Does, Idle, Is, No, Same, Shared, Without};

/// Carries out the meaning of an option.
pub(super) type Handler = fn(&mut Translator, &Given) -> Result<(), String>;

/// The meaning of a word.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// nvmm's option of this name does the same, and accepts QEMU's values.
    Same(&'static str),
    /// Another option of nvmm's, with a fixed value.
    Is(&'static str, Option<&'static str>),
    /// No effect, for this reason.
    Idle(&'static str),
    /// The guest works without it.
    Without(&'static str),
    /// nvmm doesn't support it; this is the alternative.
    No(&'static str),
    /// Other options refer to it, whatever the order.
    Defines(Handler),
    /// A device, or another use of parts that are defined.
    Does(Handler),
    /// nvmm has an option of the same name: this handler reads the values of both.
    Shared(Handler),
    /// The value of this key, the first part, has a table of its own; and the advice for other values.
    By(&'static [Row], &'static str, &'static str),
}

/// An option, or several with the same meaning.
pub(super) struct Row {
    /// The names, without dashes. A `*` at the end matches any suffix.
    pub names: &'static [&'static str],
    /// The option takes a value.
    pub takes_value: bool,
    pub meaning: Meaning,
}

impl Row {
    /// Returns whether nvmm has an option of this name.
    pub(super) fn is_nvmms(&self) -> bool {
        matches!(self.meaning, Same(_) | Shared(_))
    }
}

/// Finds the row of a word.
pub(super) fn find(rows: &'static [Row], name: &str) -> Option<(&'static Row, &'static str)> {
    rows.iter().find_map(|row| {
        let is_it =
            |known: &&&str| known.strip_suffix('*').map_or(name == **known, |start| name.starts_with(start));
        row.names.iter().find(is_it).map(|known| (row, *known))
    })
}

const fn flag(names: &'static [&'static str], meaning: Meaning) -> Row {
    Row { names, takes_value: false, meaning }
}

const fn with(names: &'static [&'static str], meaning: Meaning) -> Row {
    Row { names, takes_value: true, meaning }
}

// Messages used in several rows.
const FLOPPY: &str = "nvmm has no floppy drive; give the image with -drive if=virtio or --disk PATH";
const NO_SCSI: &str =
    "nvmm has no SCSI; say -device virtio-blk-pci, or -device ide-hd for a guest without virtio's drivers";
const NO_FOLDERS: &str =
    "nvmm shares no folders yet; give the guest an image, or reach the host by a network or --vsock";
const NO_MIGRATION: &str =
    "nvmm can't read what QEMU saves or sends; --restore and --incoming take what nvmm does";
const NO_SOUND: &str = "nvmm has no sound, and the guest does without";
const NO_USB: &str = "nvmm has no USB";
const NO_PASSTHROUGH: &str = "nvmm gives guests no devices of the host; say virtio-net-pci or virtio-blk-pci";
const NO_IOMMU: &str = "nvmm has no IOMMU for guests; leave it out";
const NO_TPM: &str = "nvmm has no TPM; leave it out";
const NO_AGENT: &str = "nvmm has no virtio-serial; a program in the guest is reached by --vsock or ssh";
const NO_CONSOLE: &str = "nvmm's consoles are serial ports; say -serial, and console=ttyS0 in the guest";
const NO_WATCHDOG: &str = "nvmm has no watchdog; nothing resets a guest that hangs";
const NO_WINDOWS: &str = "nvmm opens no windows; leave it out, or say --display vga";
const NO_LOG: &str = "say -v, -vv or -vvv for more on stderr";
const NOT_A_PC: &str = "that is for machines other than a PC; leave it out";
const CARD: &str =
    "say virtio-net-pci, which is nvmm's network card, or --net for both the card and its place";
const SLOTS: &str = "nvmm's devices are on PCI bus 0, which has room for 248";
const TCG: &str = "that is about emulation, and nvmm always runs its guests on KVM; leave it out";
const XEN: &str = "nvmm runs no guests of Xen; leave it out";
const SECRETS: &str = "nvmm has no TLS; its sockets are for this host's users, and ssh reaches further";
const INPUT: &str =
    "with a screen come a PS/2 keyboard and a tablet, virtio-tablet, which nvmm has instead of a mouse";
const SCREEN_CARD: &str = "nvmm's screen is QEMU's standard one, which --display vga adds; leave it out";

/// QEMU's options.
pub(super) static OPTIONS: &[Row] = &[
    // The machine.
    with(&["machine", "M"], Does(machine::machine)),
    flag(&["enable-kvm"], Idle("nvmm always runs its guests on KVM")),
    with(&["accel"], Does(machine::accel)),
    flag(&["no-kvm"], No("nvmm runs guests on KVM alone; leave it out")),
    with(&["cpu"], Same("cpu")),
    with(&["smp"], Same("smp")),
    with(&["m"], Shared(machine::memory)),
    with(&["mem-path"], Does(machine::mem_path)),
    flag(&["mem-prealloc"], Does(machine::mem_prealloc)),
    with(&["numa"], Does(machine::numa)),
    with(&["overcommit"], Does(small::overcommit)),
    with(&["realtime"], Idle("nvmm locks no memory")),
    with(&["name"], Shared(machine::name)),
    with(&["uuid"], Same("uuid")),
    with(&["smbios"], Same("smbios")),
    with(&["acpitable"], No("nvmm adds no ACPI tables; leave it out")),
    flag(&["no-acpi"], Idle("nvmm's machine always has ACPI")),
    flag(&["no-hpet"], Idle("nvmm has no HPET")),
    with(&["rtc"], Does(machine::rtc)),
    flag(&["localtime"], Without(machine::IN_UTC)),
    with(&["startdate"], No("nvmm's real-time clock has the host's time in UTC; leave it out")),
    with(&["global"], Does(small::global)),
    with(&["set"], No("give the value where the device is given")),
    flag(
        &["nodefaults", "no-user-config", "nodefconfig"],
        Idle("nvmm's machine has only COM1, virtio-rng (--rng off takes it away) and what the options add"),
    ),
    with(&["readconfig", "writeconfig"], No("nvmm has no files of options; give them on the command line")),
    flag(&["preconfig"], No("say -S, and nvmm waits before the guest's first instruction")),
    with(
        &["device"],
        By(
            DEVICES,
            "driver",
            "nvmm has no such device: COM1, those of --disk, --cdrom and --net, and --rng, --balloon, --vsock, --on-panic and --debug-exit are all that it has; leave it out",
        ),
    ),
    with(&["object"], By(OBJECTS, "qom-type", "nvmm has no such object; leave it out")),
    with(&["watchdog", "watchdog-action"], Without(NO_WATCHDOG)),
    with(&["fw_cfg"], Same("fw-cfg")),
    // The software to start.
    with(&["kernel"], Same("kernel")),
    with(&["initrd"], Same("initramfs")),
    with(&["append"], Same("cmdline")),
    with(&["dtb", "shim"], No("nvmm's machine has ACPI, and starts a kernel by itself; leave it out")),
    with(&["bios"], Shared(firmware::bios)),
    with(&["pflash"], Does(drive::pflash)),
    with(&["boot"], Shared(firmware::boot)),
    with(&["option-rom"], No("nvmm's firmware has the option ROMs that its devices need; leave it out")),
    with(&["L"], No("leave it out; nvmm finds firmware where distributions put it, or say --firmware PATH")),
    with(&["loadvm"], No(NO_MIGRATION)),
    with(&["incoming"], Same("incoming")),
    flag(&["only-migratable"], No(NO_MIGRATION)),
    // Disks.
    with(&["drive"], Defines(drive::drive)),
    with(&["hda", "hdb", "hdc", "hdd"], Defines(drive::hard_disk)),
    with(&["cdrom"], Shared(drive::cdrom)),
    with(&["blockdev"], Defines(blockdev)),
    flag(
        &["snapshot"],
        Idle("what the guest writes to its disks is gone at the end: overlay=temp of --disk"),
    ),
    with(&["fda", "fdb"], No(FLOPPY)),
    flag(&["no-fd-bootchk"], Idle("nvmm has no floppy drive")),
    with(&["sd", "mtdblock"], No(NOT_A_PC)),
    with(&["hdachs"], No("nvmm's disks have no cylinders; leave it out")),
    with(&["iscsi"], No("log in on the host with iscsiadm, and give --disk /dev/sdX")),
    with(&["fsdev", "virtfs"], No(NO_FOLDERS)),
    // The network.
    with(&["netdev"], Defines(net::netdev)),
    with(&["nic"], Does(net::nic)),
    with(&["net"], Shared(net::net)),
    with(&["redir"], No("say -nic user,hostfwd=tcp::PORT-:GUESTPORT")),
    with(&["tftp", "bootp", "smb"], No("nvmm's user network is passt, which serves no files; leave it out")),
    // Serial ports, the monitor, debugging.
    with(&["serial"], Shared(chardev::serial)),
    with(&["chardev"], Defines(chardev::define)),
    with(&["parallel", "debugcon"], Does(small::no_port)),
    with(&["virtioconsole"], No(NO_CONSOLE)),
    with(&["monitor"], Does(chardev::monitor)),
    with(&["mon"], Does(chardev::mon)),
    with(&["qmp", "qmp-pretty"], Shared(chardev::qmp)),
    with(&["gdb"], Same("gdb")),
    flag(&["s"], Is("--gdb", Some("tcp::1234"))),
    flag(&["S"], Is("--paused", None)),
    with(&["echr"], No("leave it out; nvmm's key is Ctrl-A, and Ctrl-A Ctrl-A sends it to the guest")),
    with(&["D"], Does(small::log_file)),
    with(&["d", "dfilter", "trace"], No(NO_LOG)),
    with(&["msg"], Idle("nvmm's messages have no time of day")),
    // The machine's end.
    flag(&["no-reboot"], Is("--on-reboot", Some("exit"))),
    flag(&["no-shutdown"], Without("nvmm ends when the guest powers off")),
    with(&["action"], Defines(machine::action)),
    flag(&["daemonize"], Same("daemonize")),
    with(&["pidfile"], Same("pidfile")),
    with(&["sandbox"], Shared(small::sandbox)),
    with(&["runas"], Does(small::run_as)),
    with(&["chroot"], Same("chroot")),
    with(&["run-with"], Does(small::run_with)),
    flag(&["async-teardown"], Idle("the kernel takes memory back when nvmm ends")),
    // The screen.
    with(&["vnc"], Does(screen::vnc)),
    with(&["display"], Shared(screen::display)),
    flag(&["nographic"], Does(small::no_graphic)),
    with(&["vga"], Does(screen::vga)),
    with(&["g"], No("the guest chooses the size of its screen; leave it out")),
    with(&["k"], Idle("a viewer's keys arrive as they are")),
    with(&["spice"], No("nvmm has no SPICE; leave it out, or say --display vga")),
    flag(
        &[
            "sdl",
            "curses",
            "full-screen",
            "alt-grab",
            "ctrl-grab",
            "no-frame",
            "no-quit",
            "show-cursor",
            "portrait",
        ],
        No(NO_WINDOWS),
    ),
    with(&["rotate"], No(NO_WINDOWS)),
    flag(&["std-vga"], Idle("nvmm's guests have a screen, QEMU's standard one, only with --display vga")),
    // USB, sound and others.
    flag(&["usb"], Idle(NO_USB)),
    with(&["usbdevice"], By(USB_DEVICES, "name", "nvmm has no USB; leave it out")),
    with(&["audio", "audiodev"], Does(small::audio)),
    with(&["soundhw"], Without(NO_SOUND)),
    with(&["tpmdev"], No(NO_TPM)),
    with(&["add-fd"], No("a tap's descriptor is given with --net tap,fd=N; leave it out")),
    with(&["compat"], Idle("nvmm's control socket has no old words")),
    with(&["icount", "tb-size", "plugin", "perfmap-file"], No(TCG)),
    flag(&["singlestep", "one-insn-per-tb", "perfmap", "jitdump", "tdf"], No(TCG)),
    with(&["seed"], No("leave it out; nvmm draws no numbers for the guest but those of --rng")),
    with(&["xen-domid"], No(XEN)),
    flag(&["xen-attach", "xen-domid-restrict"], No(XEN)),
    with(&["semihosting-config", "prom-env"], No(NOT_A_PC)),
    flag(&["semihosting", "old-param"], No(NOT_A_PC)),
    flag(
        &[
            "win2k-hack",
            "rtc-td-hack",
            "no-kvm-irqchip",
            "no-kvm-pit",
            "no-kvm-pit-reinjection",
            "enable-fips",
        ],
        No("QEMU has it no more; leave it out"),
    ),
    with(&["qtest", "qtest-log", "dump-vmstate"], No("that is for QEMU's own tests; leave it out")),
    flag(&["enable-sync-profile"], No("that is about QEMU's locks; leave it out")),
];

/// Drivers of `-device`.
static DEVICES: &[Row] = &[
    // Disks and CD-ROMs.
    with(
        &["virtio-blk", "virtio-blk-pci", "virtio-blk-pci-non-transitional", "virtio-blk-pci-transitional"],
        Does(drive::virtio_blk),
    ),
    with(&["ide-hd", "ide-drive"], Does(drive::ide_hd)),
    with(&["ide-cd"], Does(drive::ide_cd)),
    with(
        &["ahci", "ich9-ahci", "piix3-ide", "piix4-ide"],
        Idle("nvmm plugs in an AHCI controller for the disks that need one"),
    ),
    with(
        &[
            "scsi-hd",
            "scsi-cd",
            "scsi-block",
            "scsi-generic",
            "virtio-scsi*",
            "lsi*",
            "megasas*",
            "mptsas*",
            "pvscsi",
            "am53c974",
            "vhost-scsi*",
        ],
        No(NO_SCSI),
    ),
    with(&["nvme*", "vhost-user-blk*"], No("say -device virtio-blk-pci, which is nvmm's fastest disk")),
    with(
        &["usb-storage", "usb-bot", "usb-uas", "sd-card", "sdhci-pci"],
        No("nvmm has no USB; say -drive if=virtio, or --cdrom for a CD-ROM"),
    ),
    with(&["floppy", "isa-fdc"], No(FLOPPY)),
    // The network.
    with(
        &["virtio-net", "virtio-net-pci", "virtio-net-pci-non-transitional", "virtio-net-pci-transitional"],
        Does(net::card),
    ),
    with(&["e1000*", "rtl8139", "ne2k*", "pcnet*", "i825*", "vmxnet3", "igb*", "tulip", "usb-net"], No(CARD)),
    // Serial ports.
    with(&["isa-serial"], Does(chardev::isa_serial)),
    with(
        &["pci-serial*", "usb-serial", "sclpconsole"],
        No("nvmm's serial ports are COM1 to COM4; say -device isa-serial, or --serial"),
    ),
    with(&["virtio-serial*", "virtserialport"], Without(NO_AGENT)),
    with(&["virtconsole"], No(NO_CONSOLE)),
    // Small devices.
    with(&["virtio-rng*"], Does(small::rng)),
    with(&["virtio-balloon*"], Does(small::balloon)),
    with(&["vhost-vsock*"], Does(small::vsock)),
    with(
        &["vhost-user-vsock*"],
        No("say -device vhost-vsock-pci, or --vsock cid=N,uds=PATH for a unix socket on the host's side"),
    ),
    with(&["isa-debug-exit"], Does(small::debug_exit)),
    with(&["pvpanic"], Does(small::pvpanic)),
    with(&["pvpanic-pci"], No("say -device pvpanic, or --on-panic exit, pause or reset")),
    with(
        &["isa-debugcon"],
        No("nvmm has serial ports alone, which --serial places; SeaBIOS's messages are shown with -vv"),
    ),
    with(&["i6300esb", "ib700"], Without(NO_WATCHDOG)),
    with(&["diag288"], No(NOT_A_PC)),
    with(
        &["vmcoreinfo"],
        No("dump-guest-memory writes a core that crash and gdb read, without it; leave it out"),
    ),
    with(&["vmgenid"], Idle("each machine has a VM generation ID, and a new one when it is restored")),
    // Slots.
    with(
        &[
            "pcie-root-port",
            "ioh3420",
            "pci-bridge",
            "pcie-pci-bridge",
            "i82801b11-bridge",
            "pxb*",
            "x3130-upstream",
            "xio3130-downstream",
        ],
        Idle(SLOTS),
    ),
    // Input, sound, USB and the screen.
    with(
        &[
            "usb-tablet",
            "usb-mouse",
            "usb-kbd",
            "usb-wacom-tablet",
            "virtio-tablet*",
            "virtio-mouse*",
            "virtio-keyboard*",
            "virtio-input*",
        ],
        Idle(INPUT),
    ),
    with(
        &[
            "qemu-xhci",
            "nec-usb-xhci",
            "usb-ehci",
            "usb-hub",
            "piix3-usb-uhci",
            "piix4-usb-uhci",
            "ich9-usb-*",
            "pci-ohci",
            "usb-ccid",
        ],
        Idle(NO_USB),
    ),
    with(&["usb-host", "usb-redir"], No("nvmm has no USB; leave it out")),
    with(
        &[
            "intel-hda",
            "ich9-intel-hda",
            "hda-*",
            "AC97",
            "ES1370",
            "sb16",
            "usb-audio",
            "virtio-snd*",
            "virtio-sound*",
        ],
        Without(NO_SOUND),
    ),
    with(&["VGA", "bochs-display", "secondary-vga"], Does(screen::card)),
    with(&["virtio-vga*", "virtio-gpu*", "qxl*", "cirrus-vga", "vmware-svga", "ramfb"], No(SCREEN_CARD)),
    // Devices that nvmm has nothing like.
    with(&["vfio-*", "vhost-vdpa*"], No(NO_PASSTHROUGH)),
    with(&["intel-iommu", "amd-iommu", "virtio-iommu*"], No(NO_IOMMU)),
    with(&["tpm-*"], No(NO_TPM)),
    with(&["virtio-9p*", "vhost-user-fs*"], No(NO_FOLDERS)),
    with(&["ivshmem*"], No("machines reach each other by a network; say --net bridge=BRIDGE")),
    with(
        &["pc-dimm", "nvdimm", "virtio-mem*", "virtio-pmem*"],
        No("nvmm adds neither memory nor processors later; give all of it with -m and -smp"),
    ),
    with(&["loader"], No("nvmm starts a kernel by itself; say -kernel FILE")),
    with(&["edu", "pci-testdev", "pc-testdev", "testdev"], No("that is for QEMU's own tests; leave it out")),
    with(
        &["help", "?"],
        No(
            "they are virtio-blk-pci, ide-hd, ide-cd, virtio-net-pci, isa-serial, virtio-rng-pci, virtio-balloon-pci, vhost-vsock-pci, isa-debug-exit and pvpanic",
        ),
    ),
];

/// Types of `-object`.
static OBJECTS: &[Row] = &[
    with(&["rng-random", "rng-builtin"], Defines(machine::object)),
    with(
        &["rng-egd"],
        No(
            "nvmm's virtio-rng reads a file or device; say -object rng-random,id=ID,filename=PATH, or --rng PATH",
        ),
    ),
    with(&["memory-backend-ram", "memory-backend-memfd", "memory-backend-file"], Defines(machine::object)),
    with(&["iothread", "thread-context", "main-loop"], Idle("nvmm has a thread for each queue of a device")),
    with(&["throttle-group"], No("each disk has limits of its own: iops= and bw= of --disk")),
    with(&["secret*"], Idle("nvmm has no secrets; what refers to one is refused by name")),
    with(&["tls-creds-*", "tls-cipher-suites", "authz-*"], No(SECRETS)),
    with(&["filter-dump"], No("dump its tap or bridge on the host, with tcpdump")),
    with(
        &["filter-*", "colo-compare"],
        No("nvmm has no filters of the network; the host's nftables and tc are for its tap or bridge"),
    ),
    with(&["sev-guest", "sev-snp-guest", "tdx-guest"], No("nvmm has no confidential guests; leave it out")),
    with(&["input-linux", "input-barrier"], No("nvmm takes no keyboard of the host; leave it out")),
    with(
        &["can-*", "cryptodev-*", "memory-backend-epc", "acpi-generic-*", "iommufd", "x-vfio-user-server"],
        No("nvmm has no such object; leave it out"),
    ),
];

/// `-usbdevice`.
static USB_DEVICES: &[Row] = &[with(&["tablet", "mouse", "keyboard", "wacom-tablet"], Idle(INPUT))];

/// `-blockdev`.
fn blockdev(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.define(super::translator::Kind::Blockdev, given, given.keys("driver")?)
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
