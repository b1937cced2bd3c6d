//! Devices with few keys: random numbers, balloon, sockets, and devices that report the guest's end.

use super::{
    given::Given,
    keys::{Keys, joined},
    translator::{Kind, Translator},
};
use crate::config::words;

/// Keys that virtio devices have in common.
const VIRTIO: [(&str, &[&str]); 9] = [
    ("addr", &[]),
    ("bus", &[]),
    ("disable-legacy", &["on", "true", "auto"]),
    ("disable-modern", &["off", "false"]),
    ("id", &[]),
    ("iommu_platform", &["off"]),
    ("ioeventfd", &["on"]),
    ("packed", &["off"]),
    ("vectors", &[]),
];

/// The keys of such a device, without those that have no effect.
fn keys(translator: &mut Translator, given: &Given) -> Result<Keys, String> {
    let mut keys = given.keys("driver")?;
    keys.take("driver");
    let idle = keys.take_idle(&VIRTIO);
    translator.idle_keys(given, &idle);
    Ok(keys)
}

/// `-device virtio-rng-pci`.
pub(super) fn rng(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = keys(translator, given)?;
    let object = keys
        .take("rng")
        .map(|id| taken_object(translator, &id, &["rng-random", "rng-builtin"]))
        .transpose()?;
    if keys.get("max-bytes").is_some() {
        return Err(
            "max-bytes=: nvmm gives the guest as many random bytes as it asks for; leave it and period= out"
                .to_owned(),
        );
    }
    keys.end()?;
    if let Some((object, kind, mut keys)) = object {
        let file = keys.take("filename").filter(|_| kind == "rng-random");
        keys.end().map_err(|why| format!("{object}: {why}"))?;
        if let Some(file) = file {
            translator.emit(given, "--rng", Some(words::decode(&file)));
            return Ok(());
        }
    }
    translator.idle(given, "nvmm's machine always has virtio-rng; --rng off takes it away");
    Ok(())
}

/// Takes the object with this ID, if it has one of these kinds: its option, kind and keys.
fn taken_object(
    translator: &mut Translator,
    id: &str,
    kinds: &[&str],
) -> Result<(Given, String, Keys), String> {
    let part = translator.refer(Kind::Object, id)?;
    let mut keys = part.keys;
    let kind = keys.take("qom-type").unwrap_or_default();
    match kinds.contains(&kind.as_str()) {
        true => Ok((part.given, kind, keys)),
        false => Err(format!("-object {kind},id={id} is none of {}", kinds.join(", "))),
    }
}

/// `-device virtio-balloon-pci`.
pub(super) fn balloon(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = keys(translator, given)?;
    let idle = keys.take_idle(&[("deflate-on-oom", &[]), ("guest-stats-polling-interval", &[])]);
    translator.idle_keys(given, &idle);
    if keys.switch(&["free-page-reporting"])? != Some(true) {
        translator.missing(
            given,
            "nvmm's balloon reports pages that the guest has freed, and can't be made larger from outside",
        );
    }
    keys.end()?;
    translator.emit(given, "--balloon", None);
    Ok(())
}

/// `-device vhost-vsock-pci`.
pub(super) fn vsock(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = keys(translator, given)?;
    let idle = keys.take_idle(&[("seqpacket", &["auto", "on", "true"])]);
    translator.idle_keys(given, &idle);
    let cid = keys.take("guest-cid").ok_or("it needs guest-cid=N, the guest's address")?;
    keys.end()?;
    let value = format!("cid={cid}");
    translator.emit(given, "--vsock", Some(joined([value.as_str()])));
    Ok(())
}

/// `-device isa-debug-exit`.
pub(super) fn debug_exit(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = keys(translator, given)?;
    let port = keys.number("iobase")?.unwrap_or(0x501);
    let size = keys.number("iosize")?.unwrap_or(2);
    keys.end()?;
    if !(1..=4).contains(&size) {
        return Err(format!("iosize={size}: the port takes 1, 2 or 4 bytes"));
    }
    if port > 0xfffc {
        return Err(format!("iobase={port:#x}: give the first of four I/O ports, such as 0xf4"));
    }
    translator.emit(given, "--debug-exit", Some(format!("{port:#x}").into()));
    Ok(())
}

/// `-device pvpanic`.
pub(super) fn pvpanic(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = keys(translator, given)?;
    if let Some(port) = keys.number("ioport")?.filter(|port| *port != 0x505) {
        return Err(format!("ioport={port:#x}: nvmm's is at 0x505; leave it out"));
    }
    let idle = keys.take_idle(&[("events", &[])]);
    translator.idle_keys(given, &idle);
    keys.end()?;
    let action = translator.panic_action.unwrap_or("exit");
    translator.emit(given, "--on-panic", Some(action.into()));
    Ok(())
}

/// `-global`.
pub(super) fn global(translator: &mut Translator, given: &Given) -> Result<(), String> {
    const IDLE: [&str; 15] = [
        "kvm-pit.lost_tick_policy=",
        "ICH9-LPC.disable_s3=",
        "ICH9-LPC.disable_s4=",
        "PIIX4_PM.disable_s3=",
        "PIIX4_PM.disable_s4=",
        "driver=cfi.pflash01,property=secure,value=off",
        "ICH9-LPC.noreboot=",
        "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=",
        "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=",
        "PIIX4_PM.acpi-root-pci-hotplug=",
        "q35-pcihost.pci-hole64-size=",
        "i440FX-pcihost.pci-hole64-size=",
        "virtio-blk-pci.scsi=off",
        "isa-fdc.fdtypeA=none",
        "mc146818rtc.lost_tick_policy=",
    ];
    let text = given.text();
    if !IDLE.iter().any(|start| text.starts_with(start)) {
        return Err("nvmm's devices have their properties at their own options; leave it out".to_owned());
    }
    translator.idle(given, "it changes nothing here");
    Ok(())
}

/// `-overcommit`.
pub(super) fn overcommit(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("")?;
    let idle = keys.take_idle(&[("mem-lock", &["off"]), ("cpu-pm", &["off"])]);
    translator.idle_keys(given, &idle);
    if keys.get("mem-lock").is_some() {
        return Err("nvmm locks no memory; --memory size=SIZE,hugepages=on,prefault=on keeps it from being swapped out".to_owned());
    }
    keys.end()
}

/// `-sandbox`. Everything that QEMU's keys deny is also denied by nvmm's sandbox.
pub(super) fn sandbox(translator: &mut Translator, given: &Given) -> Result<(), String> {
    const ALLOWED: &[&str] = &["allow"];
    const DENIED: &[&str] = &["deny"];
    const KEYS: [(&str, &[&str]); 4] = [
        ("obsolete", DENIED),
        ("elevateprivileges", &["deny", "children"]),
        ("spawn", DENIED),
        ("resourcecontrol", DENIED),
    ];
    let mut keys = given.keys("enable")?;
    let mode = keys.take("enable");
    keys.take_idle(&KEYS);
    let allowed = keys.take_idle(&KEYS.map(|(key, _)| (key, ALLOWED)));
    keys.end()?;
    translator.idle_keys(given, &allowed);
    translator.emit(given, "--sandbox", Some(mode.unwrap_or_else(|| "on".to_owned()).into()));
    Ok(())
}

/// `-audio` and `-audiodev`.
pub(super) fn audio(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.keys("driver")?.get("driver") {
        Some("none") => translator.idle(given, "nvmm has no sound in any case"),
        _ => translator.missing(given, "nvmm has no sound, and the guest does without"),
    }
    Ok(())
}

/// `-nographic`.
pub(super) fn no_graphic(translator: &mut Translator, given: &Given) -> Result<(), String> {
    if translator.has("daemonize") {
        return Err("it puts the console on the terminal, which -daemonize lets go of, in QEMU as here; say -display none and -serial file:PATH or null".to_owned());
    }
    translator.idle(given, "COM1 is on the terminal unless --serial says otherwise");
    Ok(())
}

/// `-parallel` and `-debugcon`.
pub(super) fn no_port(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.first().as_str() {
        "none" | "null" => {
            translator.idle(given, "nvmm has no such port in any case");
            Ok(())
        }
        _ => Err("nvmm has serial ports alone, which --serial places; SeaBIOS's messages are shown with -vv"
            .to_owned()),
    }
}

/// `-D`.
pub(super) fn log_file(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.emit(given, "--log-file", Some(given.value.clone()));
    Ok(())
}

/// `-runas`.
pub(super) fn run_as(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.emit(given, "--user", Some(given.value.clone()));
    Ok(())
}

/// `-run-with`.
pub(super) fn run_with(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("")?;
    let idle = keys.take_idle(&[("async-teardown", &[]), ("exit-with-parent", &["off"])]);
    translator.idle_keys(given, &idle);
    for (key, option) in [("user", "--user"), ("chroot", "--chroot")] {
        if let Some(value) = keys.take(key) {
            translator.emit(given, option, Some(words::decode(&value)));
        }
    }
    keys.end()
}
