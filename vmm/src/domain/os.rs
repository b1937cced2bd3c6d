//! `<os>`, and the actions at a guest's end: the kernel, or the firmware and the devices from which it starts.

use super::{
    part::{
        Part,
        Rule::{Idle, Missing, Refuse},
        Rules,
    },
    reader::{Reader, origin, path, path_part},
};

/// Machine types of QEMU's that are like nvmm's machine.
const MACHINES: [&str; 2] = ["pc", "q35"];
/// The beginnings of the names of their versions, such as `pc-q35-7.2` and Red Hat's `rhel6.6.0`.
const VERSIONS: [&str; 2] = ["pc-", "rhel"];

const RULES: &Rules = &[
    ("bios", Idle("SeaBIOS is on COM1, too; after an error it waits for a key")),
    ("dtb", Refuse("no x86 machine has a device tree; take it out")),
    ("shim", Refuse("nvmm loads a kernel without it; take it out")),
    ("acpi", Refuse("nvmm adds no ACPI tables of others; take it out")),
    ("init", Refuse("only containers have it; take it out")),
];

/// `<os>`.
pub(super) fn read<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    reader.os.element = Some(element);
    if let Some(kind) = element.child("type") {
        machine(kind);
    }
    let chosen = element.choice("firmware", &[("efi", "uefi"), ("bios", "bios")]);
    if let Some(features) = element.child("firmware") {
        for feature in features.all("feature") {
            let enabled = feature.switch("enabled").unwrap_or(true);
            feature.attribute("name");
            if enabled {
                feature.refuse("nvmm has no Secure Boot; say enabled='no', or take it out");
            }
        }
    }
    let loader = element.child("loader").and_then(loader);
    let vars = element.child("nvram").and_then(nvram);
    let kernel =
        element.child("kernel").map(|kernel| (kernel, kernel.text())).filter(|(_, path)| !path.is_empty());
    if let Some((kernel, file)) = &kernel {
        reader.emit(*kernel, "kernel", path(file));
    }
    for (name, option) in [("initrd", "initramfs"), ("cmdline", "cmdline")] {
        if let Some(child) = element.child(name) {
            let text = child.text();
            match (kernel.is_some(), name) {
                (false, _) => child.idle("it goes with a <kernel>, and there is none"),
                (true, "initrd") => reader.emit(child, option, path(&text)),
                (true, _) => reader.emit(child, option, text),
            }
        }
    }
    reader.os.kernel = kernel.is_some();
    // In libvirt, a kernel's command line is only what the file gives; nvmm has another default.
    if let Some((kernel, _)) = kernel
        && element.child("cmdline").is_none()
    {
        reader.emit(kernel, "cmdline", String::new());
    }
    let mut firmware = loader.or_else(|| chosen.map(str::to_owned));
    if !reader.os.kernel {
        // As in QEMU, whatever is on the disk.
        firmware.get_or_insert_with(|| "bios".to_owned());
    }
    if let (Some(firmware), Some(vars)) = (&mut firmware, vars) {
        firmware.push_str(",vars=");
        firmware.push_str(&vars);
    }
    reader.os.firmware = firmware;
    for boot in element.all("boot") {
        let devices =
            [("hd", Some("disk")), ("cdrom", Some("cdrom")), ("network", Some("net")), ("fd", None)];
        match boot.choice("dev", &devices) {
            Some(Some(word)) => reader.os.boot.push((boot, word)),
            Some(None) => boot.missing("nvmm has no floppy drive to start from"),
            None => {}
        }
    }
    if let Some(menu) = element.child("bootmenu") {
        reader.os.menu = menu.switch("enable").unwrap_or(false);
        menu.rest(&[&[("@timeout", Missing("nvmm's menu waits five seconds for ESC"))]]);
    }
    if let Some(smbios) = element.child("smbios") {
        match smbios.attribute("mode") {
            Some("sysinfo") => reader.os.sysinfo = true,
            Some("host") => smbios.missing("nvmm doesn't copy the host's names; give them by --smbios"),
            _ => {}
        }
    }
    element.rest(&[RULES]);
}

/// `<type arch='' machine=''>hvm</type>`.
fn machine(kind: Part<'_, '_>) {
    if kind.text() != "hvm" {
        kind.refuse("nvmm has whole machines alone; give <type arch='x86_64' machine='q35'>hvm</type>");
    }
    match kind.attribute("arch") {
        None | Some("x86_64") => {}
        Some("i686") => kind.idle("the guest's CPU has 64 bits, too"),
        Some(_) => kind.refuse_attribute("arch", "nvmm's guests are x86 machines; give x86_64"),
    }
    if let Some(machine) = kind.attribute("machine") {
        match MACHINES.contains(&machine) || VERSIONS.iter().any(|start| machine.starts_with(start)) {
            true => kind.idle("nvmm has one machine, which is like q35"),
            false => {
                kind.refuse_attribute("machine", "nvmm has one machine, which is like q35; give q35 or pc");
            }
        }
    }
}

/// `<loader>`: the value for `--firmware`.
fn loader(element: Part<'_, '_>) -> Option<String> {
    if element.switch("secure") == Some(true) {
        element.refuse_attribute("secure", "nvmm has no SMM, and so no Secure Boot; take it out");
    }
    element.choice("type", &[("rom", ()), ("pflash", ())]);
    element.rest(&[&[
        ("@readonly", Idle("nvmm never writes to it; variables are in <nvram>")),
        ("@stateless", Idle("variables are kept where <nvram> says")),
        ("@format", Idle("nvmm reads a raw image")),
    ]]);
    let image = element.text();
    (!image.is_empty()).then(|| path_part(&image))
}

/// `<nvram>`: the path of the file with the variables.
fn nvram(element: Part<'_, '_>) -> Option<String> {
    element.rest(&[&[
        ("@template", Idle("nvmm has the variables that its firmware came with")),
        ("@templateFormat", Idle("nvmm has the variables that its firmware came with")),
        ("@format", Idle("nvmm keeps them in a raw image")),
    ]]);
    match element.attribute("type") {
        None | Some("file" | "block") => {}
        Some(_) => {
            element.refuse("nvmm keeps UEFI's variables in a file; give its path");
            return None;
        }
    }
    let file = match element.child("source") {
        Some(source) => {
            source.attribute("file").or_else(|| source.attribute("dev")).unwrap_or_default().to_owned()
        }
        None => element.text(),
    };
    (!file.is_empty()).then(|| path_part(&file))
}

/// `<on_poweroff>`.
pub(super) fn on_poweroff<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    match element.text().as_str() {
        "destroy" => {}
        "restart" | "preserve" | "rename-restart" => element.missing("nvmm ends when the guest powers off"),
        _ => element.refuse("give destroy"),
    }
}

/// `<on_reboot>`.
pub(super) fn on_reboot<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    match element.text().as_str() {
        "restart" => {}
        "destroy" => reader.emit(element, "on-reboot", "exit".to_owned()),
        "preserve" | "rename-restart" => {
            element.missing("nvmm knows restart and destroy; the guest's reboot ends it");
            reader.emit(element, "on-reboot", "exit".to_owned());
        }
        _ => element.refuse("give restart or destroy"),
    }
}

/// `<on_crash>`, which only matters with a `<panic>`.
pub(super) fn on_crash<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let text = element.text();
    reader.os.on_crash = match text.as_str() {
        "destroy" => Some("exit"),
        "restart" | "rename-restart" => Some("reset"),
        "preserve" => Some("pause"),
        "coredump-destroy" | "coredump-restart" => {
            element.missing("nvmm writes no core by itself; dump-guest-memory on the control socket does");
            Some(if text == "coredump-destroy" { "exit" } else { "reset" })
        }
        _ => return element.refuse("give destroy, restart or preserve"),
    };
}

/// Adds the options for the start, after all devices were read.
pub(super) fn finish<'f, 'd>(reader: &mut Reader<'f, 'd>, root: Part<'f, 'd>) {
    if let Some(panic) = reader.os.panic {
        let action = reader.os.on_crash.unwrap_or("exit");
        reader.emit(panic, "on-panic", action.to_owned());
    }
    let element = reader.os.element.unwrap_or(root);
    let from = origin(element);
    match reader.os.firmware.take() {
        Some(firmware) => reader.emit_from(from.clone(), "firmware", firmware),
        None if reader.os.element.is_none() => reader.emit_from(from.clone(), "firmware", "bios".to_owned()),
        None => {}
    }
    if reader.os.kernel {
        reader.os.boot.iter().for_each(|(boot, _)| boot.idle("a <kernel> starts"));
        return;
    }
    let mut order: Vec<_> = std::mem::take(&mut reader.boot)
        .into_values()
        .filter_map(|(option, word)| reader.wants(option).then_some(word))
        .collect();
    for (boot, word) in std::mem::take(&mut reader.os.boot) {
        match reader.has(word) {
            true if !order.iter().any(|other| other == word) => order.push(word.to_owned()),
            true => {}
            false => boot.idle("there is no such device"),
        }
    }
    let order = (!order.is_empty()).then(|| format!("order={}", order.join(",")));
    let menu = reader.os.menu.then(|| "menu=on".to_owned());
    let words: Vec<_> = order.into_iter().chain(menu).collect();
    if !words.is_empty() {
        reader.emit_from(origin(element), "boot", words.join(","));
    }
}
