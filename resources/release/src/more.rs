//! Parts of man pages that clap does not have: examples, files, signals, keys, and where to read on.

/// More of a page.
#[derive(Debug)]
pub(crate) struct More {
    /// Paragraphs of the description.
    pub(crate) description: &'static [&'static str],
    /// Signals, and what they do.
    pub(crate) signals: &'static [(&'static str, &'static str)],
    /// Keys on the terminal, and what they do.
    pub(crate) keys: &'static [(&'static str, &'static str)],
    /// Files, and what they are for.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Purposes, and the command lines for them.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// Other man pages, of section 1.
    pub(crate) see: &'static [&'static str],
    /// Pages of the manual.
    pub(crate) pages: &'static [&'static str],
}

const NONE: More = More {
    description: &[],
    signals: &[],
    keys: &[],
    files: &[],
    examples: &[],
    see: &["nvmm"],
    pages: &["options"],
};

/// The pages, by their names.
pub(crate) const PAGES: &[(&str, More)] = &[
    ("nvmm", NVMM),
    ("nvmm-nest", NEST),
    ("nvmm-cpu", CPU),
    ("nvmm-check", CHECK),
    ("nvmm-ctl", CTL),
    ("nvmm-console", CONSOLE),
    ("nvmm-disk", DISK),
    ("nvmm-snapshot", SNAPSHOT),
    ("nvmm-help", HELP),
];

/// More of a page; a command that is new here has only the way back to nvmm's.
pub(crate) fn of(name: &str) -> &'static More {
    PAGES.iter().find(|(each, _)| *each == name).map_or(&NONE, |(_, more)| more)
}

const NVMM: More = More {
    description: &[
        "nvmm boots a guest (L1) whose CPU is what the user asked for, with VMX or SVM and everything that belongs to it, so that \
         the guest runs KVM and guests of its own (L2). With a kernel the guest starts at once; with a disk alone, by the disk's \
         own boot loader and SeaBIOS or OVMF.",
        "The options are those of a machine. Most have QEMU's names, and QEMU's own command line is taken too, with one dash or \
         two; see --from-qemu. Without an option that places it, the first serial port is on the terminal.",
        "nvmm takes an x86-64 host with Linux 5.3 or later and access to /dev/kvm (on Debian: the group kvm).",
    ],
    signals: &[
        (
            "SIGTERM",
            "Presses the guest's power button. nvmm ends once the guest has powered off, after --grace seconds, or at a second \
             SIGTERM. With --snapshot-on-exit the machine is saved instead.",
        ),
        ("SIGINT, SIGQUIT", "End nvmm at once."),
        ("SIGHUP", "Looks whether disks have grown, and tells the guest."),
        ("SIGUSR1", "Prints what each disk and network device did, and the exits that KVM counted."),
        ("SIGUSR2", "Saves the machine, with --snapshot-on-exit, and goes on."),
    ],
    keys: &[
        ("Ctrl-A x", "End nvmm."),
        ("Ctrl-A p", "Pause the guest, or let it go on."),
        ("Ctrl-A a", "Send Ctrl-A to the guest."),
        ("Ctrl-A h", "List these keys."),
    ],
    files: &[
        ("/dev/kvm", "KVM; see --kvm."),
        (
            "/etc/nvmm/NAME.conf",
            "The options of the service nvmm@NAME, in NVMM_OPTIONS. Its disks are in /var/lib/nvmm/NAME.",
        ),
        ("/usr/share/doc/nvmm/manual", "The manual's pages, which nvmm help shows too."),
    ],
    examples: &[
        (
            "A cloud image, with a login by ssh:",
            "nvmm --disk debian-12-genericcloud-amd64.qcow2 --memory 2G \\\n     --ssh-key ~/.ssh/id_ed25519.pub \\\n     --net user,hostfwd=tcp::2222-:22",
        ),
        (
            "A kernel of your own, and a CPU that has VMX or does not start:",
            "nvmm --kernel bzImage --initramfs initrd.img --cpu host-model \\\n     --nested on",
        ),
        (
            "A machine in the background, with a control socket:",
            "nvmm --disk vm.qcow2 --daemonize --qmp vm.sock --pidfile vm.pid",
        ),
        (
            "Print the machine that would run, and every decision about its CPU:",
            "nvmm --kernel bzImage --cpu Haswell,+vmx --dry-run",
        ),
    ],
    see: &[
        "nvmm-nest",
        "nvmm-cpu",
        "nvmm-check",
        "nvmm-ctl",
        "nvmm-console",
        "nvmm-disk",
        "nvmm-snapshot",
        "nvmm-help",
        "passt",
    ],
    pages: &["options", "statuses", "network", "firmware", "snapshots", "jail"],
};

const NEST: More = More {
    examples: &[
        (
            "Two levels of Linux, each in the one before, with a report for CI:",
            "nvmm nest --levels 2 --junit nest.xml --html nest.html",
        ),
        ("The same where there is no KVM, in an emulated AMD machine:", "nvmm nest --emulated svm"),
        ("A program of yours in the second level:", "nvmm nest --exec ./mytest --exec-args --fast"),
    ],
    see: &["nvmm", "nvmm-check"],
    pages: &["nest", "check"],
    ..NONE
};

const CPU: More = More {
    examples: &[
        ("What a guest would get, bit by bit:", "nvmm cpu show EPYC-Rome,+svm"),
        ("The models, and which of them this host can run:", "nvmm cpu list"),
        ("Where vmx is, and what it needs:", "nvmm cpu explain vmx"),
    ],
    see: &["nvmm", "nvmm-check"],
    pages: &["cpus"],
    ..NONE
};

const CHECK: More = More {
    examples: &[("Whether guests of guests can run here:", "nvmm check --require nested")],
    see: &["nvmm", "nvmm-nest"],
    pages: &["check"],
    ..NONE
};

const CTL: More = More { see: &["nvmm", "nvmm-console"], pages: &["control"], ..NONE };

const CONSOLE: More = More {
    examples: &[("The port of a machine with --serial unix=vm.com1,server:", "nvmm console vm.com1")],
    see: &["nvmm", "nvmm-ctl"],
    pages: &["serial"],
    ..NONE
};

const DISK: More = More {
    examples: &[
        ("What an image is, and what it is a difference to:", "nvmm disk info vm.qcow2"),
        (
            "An image over another one, which stays as it is:",
            "nvmm disk create -f qcow2 -b base.qcow2 -F qcow2 vm.qcow2",
        ),
        ("A copy in another format:", "nvmm disk convert -O qcow2 vm.vmdk vm.qcow2"),
    ],
    see: &["nvmm"],
    pages: &["disks"],
    ..NONE
};

const SNAPSHOT: More = More {
    examples: &[
        ("Save the machine behind a control socket:", "nvmm ctl vm.sock snapshot saved"),
        ("Tell what was saved, and whether this host can run it:", "nvmm snapshot info saved"),
        ("Go on with it:", "nvmm --restore saved"),
    ],
    see: &["nvmm", "nvmm-ctl"],
    pages: &["snapshots", "migration"],
    ..NONE
};

const HELP: More = More {
    examples: &[
        ("A page of the manual:", "nvmm help disks"),
        ("The places that have some words:", "nvmm help turn nesting on"),
    ],
    ..NONE
};
