//! The pages of the manual.

/// A page of the manual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// The file's name, without `.md`.
    pub(super) name: &'static str,
    /// Other words that users may use for it, including the commands and options that it describes.
    pub(super) also: &'static [&'static str],
    /// The subject.
    pub(super) about: &'static str,
    /// The text, in Markdown.
    pub(super) text: &'static str,
}

macro_rules! page {
    ($name:literal, $also:expr, $about:literal) => {
        Page {
            name: $name,
            also: &$also,
            about: $about,
            text: include_str!(concat!("../../../resources/manual/", $name, ".md")),
        }
    };
}

/// All pages, in the order in which they are listed.
pub(super) const PAGES: &[Page] = &[
    page!("options", ["option", "signals"], "each option of a machine, and signals"),
    page!("statuses", ["status", "exit"], "exit statuses, and what to do about each"),
    page!("install", ["package", "deb", "completions", "uninstall"], "install nvmm; which files it has"),
    page!("check", ["nesting", "nested", "enable", "turn"], "can this host nest, and if not, what to do"),
    page!("nest", ["proof", "exec", "junit", "keep"], "prove nesting; run a program in a guest of a guest"),
    page!("ci", ["github", "gitlab", "kubernetes", "jenkins"], "jobs that prove nesting, or test in it"),
    page!("cpus", ["cpu", "vmx", "svm", "models", "missing"], "CPU models, features, libvirt's <cpu>"),
    page!("disks", ["disk", "cdrom", "images", "qcow2", "vmdk"], "disks, and `nvmm disk`"),
    page!("firmware", ["boot", "bios", "uefi"], "start a disk by its own boot loader"),
    page!(
        "cloud-images",
        ["cloud", "cloud-init", "ssh-key", "hostname"],
        "images that set themselves up by cloud-init"
    ),
    page!("network", ["net", "bridge", "tap", "port", "forward"], "networks, with rights and without"),
    page!("lab", ["training", "l2"], "a lab of machines in a machine"),
    page!("vnc", ["display", "screen", "screenshot"], "a screen for viewers, and screenshots"),
    page!("vsock", [], "sockets between host and guest"),
    page!("serial", ["console"], "serial ports, and `nvmm console`"),
    page!("expect", ["send", "login"], "wait for what a guest prints, and answer"),
    page!("control", ["ctl", "qmp"], "the control socket, QMP and `nvmm ctl`"),
    page!("snapshots", ["snapshot", "restore", "save", "clones"], "save a machine, go on with it, clone it"),
    page!("migration", ["migrate", "incoming"], "move a machine that runs to another nvmm"),
    page!("gdb", ["debugger", "debug"], "debug a guest"),
    page!("hangs", ["hang", "slow"], "what to do when a guest hangs, or is slow"),
    page!("qemu", ["from-qemu"], "QEMU's command line, word by word"),
    page!("libvirt", ["domain"], "machines of libvirt's"),
    page!("sandbox", [], "what each thread of nvmm's may do"),
    page!(
        "jail",
        ["user", "chroot", "netns", "cgroup", "systemd", "apparmor"],
        "a start as root that ends jailed"
    ),
    page!("bounds", [], "what a guest can make nvmm use"),
    page!("faults", [], "what nvmm does when its host fails it"),
    page!("architecture", [], "how nvmm is built"),
];

/// The README, with its recipes, which is no file of the manual's folder.
const README: Page = Page {
    name: "readme",
    also: &["recipes"],
    about: "the README, with recipes for a start",
    text: include_str!("../../../README.md"),
};

/// All pages, and the README.
pub(super) fn every() -> impl Iterator<Item = &'static Page> {
    PAGES.iter().chain([&README])
}

/// The page of a name, with or without an option's dashes.
pub(super) fn named(name: &str) -> Option<&'static Page> {
    let name = name.trim_start_matches('-');
    every().find(|page| page.name == name || page.also.contains(&name))
}
