//! `<devices>`: the machine's devices.

use super::{
    disk, interface,
    part::{
        COMMON, Part,
        Rule::{Idle, Missing, Refuse},
        Rules,
    },
    reader::{Reader, path},
    screen, serial,
    table::{
        Way::{self, Is, Reads},
        follow,
    },
};

const NO_USB: &str = "nvmm has no USB; the guest runs without it";
const NO_AUDIO: &str = "nvmm's guests make no sound";

/// The devices.
pub(super) const DEVICES: &[(&str, Way)] = &[
    ("emulator", Is(Idle("nvmm is the emulator"))),
    ("disk", Reads(disk::read)),
    ("interface", Reads(interface::read)),
    ("serial", Reads(serial::read)),
    ("console", Reads(serial::console)),
    ("graphics", Reads(screen::graphics)),
    ("video", Reads(screen::video)),
    ("rng", Reads(rng)),
    ("vsock", Reads(vsock)),
    ("panic", Reads(panic)),
    ("memballoon", Reads(balloon)),
    ("controller", Reads(controller)),
    ("channel", Reads(channel)),
    ("input", Reads(screen::input)),
    ("sound", Is(Missing(NO_AUDIO))),
    ("audio", Is(Idle(NO_AUDIO))),
    ("hub", Is(Missing(NO_USB))),
    ("redirdev", Is(Missing(NO_USB))),
    ("redirfilter", Is(Idle(NO_USB))),
    ("watchdog", Is(Missing("nvmm has no watchdog; nothing resets a guest that hangs"))),
    ("hostdev", Is(Refuse("nvmm passes no devices of the host to a guest; take it out"))),
    ("tpm", Is(Refuse("nvmm has no TPM; take it out"))),
    (
        "filesystem",
        Is(Refuse("nvmm shares no folders; take it out, and give the guest an image, or NFS by its network")),
    ),
    ("memory", Is(Refuse("nvmm adds no memory modules; take it out, and give <memory> all"))),
    ("shmem", Is(Refuse("nvmm shares no memory between guests; take it out"))),
    ("iommu", Is(Refuse("nvmm has no IOMMU; take it out"))),
    ("smartcard", Is(Refuse("nvmm has no smartcard reader; take it out"))),
    ("parallel", Is(Refuse("nvmm has no parallel port; take it out"))),
    ("crypto", Is(Refuse("nvmm has no crypto device; take it out"))),
    ("lease", Is(Refuse("nvmm has no lock manager; take it out"))),
    ("pstore", Is(Refuse("nvmm has no pstore; take it out"))),
    ("nvram", Is(Refuse("no x86 machine has it; take it out"))),
];

const VIRTIO: &Rules = &[("driver", Idle("nvmm decides for itself"))];

/// `<devices>`.
pub(super) fn devices<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    for device in element.children() {
        device.by(|| follow(DEVICES, reader, device));
    }
}

/// `<controller>`: nvmm makes the ones that its devices need.
fn controller<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let rule = match element.attribute("type") {
        Some("usb") => Missing(NO_USB),
        Some("scsi" | "ccid" | "virtio-serial") => {
            Missing("nvmm has no such controller; the guest runs without it")
        }
        Some("pci" | "ide" | "sata" | "isa" | "fdc") => {
            Idle("nvmm has the controllers that its devices need")
        }
        Some("nvme") => Missing("nvmm has no such controller; the guest runs without it"),
        _ => Refuse("no machine of nvmm's has such a controller; take it out"),
    };
    element.leave(rule);
}

/// `<channel>`, through which programs in the guest talk to programs on the host.
fn channel<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let target = element.child("target").and_then(|target| target.attribute("type"));
    element.leave(match target {
        Some("guestfwd") => Refuse("nvmm has no address of the host's in the guest's network; take it out"),
        _ => Missing(
            "nvmm has no such channel; the guest runs without it, and --vsock is a way to its programs",
        ),
    });
}

/// `<rng>`.
fn rng<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if reader.is_replaced("rng", element) {
        return;
    }
    if !reader.single.insert("rng") {
        return element.leave(Missing("nvmm has one source of random bytes; the guest runs with the first"));
    }
    virtio(element);
    element.rest(&[COMMON, VIRTIO, &[("rate", Missing("nvmm limits no random bytes"))]]);
    let Some(backend) = element.child("backend") else {
        return element.refuse("it has no <backend>; add <backend model='random'>/dev/urandom</backend>");
    };
    let file = backend.text();
    match backend.attribute("model") {
        Some("random") if !file.is_empty() => reader.emit(element, "rng", path(&file)),
        Some("random" | "builtin") => reader.emit(element, "rng", "/dev/urandom".to_owned()),
        _ => element.refuse("nvmm reads random bytes from a file or a device; say <backend model='random'>/dev/urandom</backend>"),
    }
}

/// `<vsock>`.
fn vsock<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if reader.is_replaced("vsock", element) {
        return;
    }
    if element.attribute("model").is_some() {
        virtio(element);
    }
    element.rest(&[COMMON, VIRTIO]);
    let Some(cid) = element.child("cid") else {
        return element.refuse("nvmm chooses no address; add <cid auto='no' address='3'/>");
    };
    let auto = cid.switch("auto").unwrap_or(false);
    match cid.number("address") {
        Some(address) => {
            if auto {
                cid.idle("the address is given");
            }
            reader.emit(element, "vsock", format!("cid={address}"));
        }
        None => cid.refuse("nvmm chooses no address; say auto='no' address='3'"),
    }
}

/// `<panic>`.
fn panic<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    element.rest(&[COMMON]);
    match element.attribute("model") {
        None | Some("isa" | "pvpanic") => reader.os.panic = Some(element),
        Some("hyperv") => {
            element.missing("nvmm has no Hyper-V; the guest's panic is heard by model='isa' alone");
        }
        _ => element.refuse_attribute("model", "give isa"),
    }
}

/// `<memballoon>`.
fn balloon<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let model = element.attribute("model");
    if model == Some("none") {
        return element.skip();
    }
    if model.is_some_and(|model| !model.starts_with("virtio")) {
        return element.refuse_attribute("model", "give virtio or none");
    }
    element.rest(&[
        COMMON,
        VIRTIO,
        &[
            ("stats", Idle("nvmm's balloon tells of no statistics")),
            ("@autodeflate", Idle("nvmm's balloon takes no memory that the guest needs")),
            ("@freePageReporting", Idle("nvmm's balloon always has it")),
        ],
    ]);
    if reader.memory.hugepages {
        return element.missing("nvmm's huge pages can't be given back; the guest runs without it");
    }
    reader.emit(element, "balloon", None);
}

/// `model=''` of a virtio device.
fn virtio(element: Part<'_, '_>) {
    let models = ["virtio", "virtio-transitional", "virtio-non-transitional"];
    if element.attribute("model").is_none_or(|model| !models.contains(&model)) {
        element.refuse_attribute("model", "give virtio");
    }
}
