//! QEMU's words: options with one dash, and those that nvmm gives in another way or does not have.

mod given;
mod net;
mod vsock;

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
};

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub(super) use self::{net::as_net, vsock::as_vsock};

// Sentences of several rows.
const NO_SCREEN: &str = "leave it out; the guest's console is COM1, which --serial places, and nvmm shows a screen in no window: --display vga has one whose picture nvmm ctl SOCKET screendump a.png saves";
const CARD: &str =
    "say virtio-net-pci, which is nvmm's network card, or --net for both the card and its place";
const DISK: &str = "give each disk with --disk PATH, or --disk path=PATH,KEY=VALUE,...";
const PFLASH: &str = "say --firmware uefi,vars=PATH with the file of variables, or --firmware PATH,vars=PATH for a build of your own";
const CDROM: &str = "say --cdrom PATH, or --cdrom none for an empty drive";
const SATA: &str = "give each disk with --disk path=PATH,bus=sata, which brings the controller";
const RNG: &str = "leave it out; nvmm's machine has virtio-rng, and --rng PATH says what it reads";
const VSOCK: &str = "say --vsock cid=N for the kernel's vhost-vsock, or --vsock cid=N,uds=PATH for a unix socket on the host's side";
const DEBUG_EXIT: &str = "say --debug-exit PORT, with the port that iobase= names";

/// QEMU's options that nvmm does not take, without their dashes, and what to do instead.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["drive", "hda", "hdb", "hdc", "hdd", "blockdev", "sd", "mtdblock"], DISK),
    (&["fda", "fdb"], "nvmm has no floppy drive; give the image with --disk PATH"),
    (&["snapshot"], "add overlay=temp to each disk: --disk path=PATH,overlay=temp"),
    (&["nographic"], "leave it out; COM1 is on the terminal unless --serial says otherwise"),
    (&["no-reboot"], "say --on-reboot exit"),
    (&["no-shutdown"], "leave it out; nvmm always ends when the guest powers off"),
    (
        &["action"],
        "say --on-reboot exit for reboot=shutdown, and --on-panic exit or pause for panic=exit-failure or pause; nvmm has no other actions",
    ),
    (&["enable-kvm", "accel"], "leave it out; nvmm always runs its guests on KVM"),
    (&["machine", "M"], "leave it out; nvmm has one machine only"),
    (&["no-acpi"], "leave it out; nvmm's machine always has ACPI"),
    (
        &["nodefaults", "no-user-config"],
        "leave it out; nvmm's machine has only COM1, virtio-rng (--rng off takes it away) and what the options add",
    ),
    (&["vga", "vnc", "spice", "sdl", "curses", "full-screen", "g"], NO_SCREEN),
    (
        &["monitor", "mon", "qmp-pretty"],
        "say --qmp PATH; nvmm ctl PATH speaks to it, and nvmm ctl PATH info registers is the monitor's",
    ),
    (
        &["chardev"],
        "say where each serial port goes: --serial tcp=HOST:PORT,server, --serial unix=PATH, --serial pty ...",
    ),
    (&["parallel", "debugcon"], "leave it out; nvmm has serial ports, which --serial places"),
    (&["pflash"], PFLASH),
    (
        &["option-rom", "L"],
        "leave it out; nvmm finds firmware where distributions put it, or say --firmware PATH",
    ),
    (
        &["daemonize", "pidfile"],
        "leave it out; nvmm stays in the foreground, and a service manager can keep it",
    ),
    (&["D", "d", "trace", "msg"], "say -v, -vv or -vvv for more on stderr"),
    (&["name"], "leave it out; nvmm's machines have no name"),
    (&["rtc"], "leave it out; nvmm's real-time clock has the host's time in UTC, as base=utc says"),
    (&["usb", "usbdevice"], "leave it out; nvmm has no USB"),
    (&["fw_cfg"], "leave it out; nvmm's fw_cfg has only what firmware asks for"),
    (
        &["object"],
        "leave it out; nvmm has no objects; --memory size=SIZE,hugepages=on sets how memory is backed",
    ),
    (&["mem-path"], "say --memory size=SIZE,hugepages=on"),
    (&["mem-prealloc"], "say --memory size=SIZE,prefault=on"),
    (&["numa"], "leave it out; nvmm has no NUMA yet"),
    (
        &["incoming", "loadvm"],
        "nvmm can neither migrate nor restore a guest yet; start it with --kernel FILE",
    ),
    (&["virtfs", "fsdev"], "leave it out; nvmm shares no folders yet; --disk gives the guest an image"),
    (&["audio", "audiodev"], "leave it out; nvmm has no sound"),
    (
        &["device"],
        "leave it out; nvmm's only devices are COM1, those that --disk, --cdrom and --net give, and those of --rng, --balloon, --vsock, --on-panic and --debug-exit",
    ),
];

/// QEMU's options of one letter that nvmm spells out.
const SHORT: [(&str, &str); 2] = [("-s", "--gdb=tcp::1234"), ("-S", "--paused")];

/// How the values of `-device` begin that have a sentence of their own.
const DEVICES: &[(&[&str], &str)] = &[
    (&["isa-debug-exit"], DEBUG_EXIT),
    (&["pvpanic"], "say --on-panic exit, --on-panic pause or --on-panic reset"),
    (&["virtio-blk", "virtio-scsi", "scsi-hd", "nvme"], DISK),
    (&["ide-hd", "ich9-ahci", "ahci"], SATA),
    (&["ide-cd", "scsi-cd"], CDROM),
    (&["virtio-rng"], RNG),
    (&["virtio-balloon"], "say --balloon"),
    (&["vhost-vsock", "vhost-user-vsock"], VSOCK),
    (&["virtio-net", "e1000", "rtl8139", "ne2k", "pcnet", "i8255", "vmxnet3"], CARD),
    (&["isa-serial"], "say --serial PLACE, once for each port"),
    (&["virtio-gpu", "virtio-vga", "VGA"], NO_SCREEN),
];

/// How a part of the value of `-drive` begins that has a sentence of its own.
const DRIVES: &[(&[&str], &str)] = &[
    (&["if=pflash"], PFLASH),
    (&["media=cdrom"], CDROM),
    (&["if=floppy"], "nvmm has no floppy drive; give the image with --disk PATH"),
    (&["if=ide"], SATA),
];

/// The same for `-object`.
const OBJECTS: &[(&[&str], &str)] = &[(&["rng-random", "rng-builtin", "rng-egd"], RNG)];

/// The command line with two dashes where a long option, one of `machine` or of QEMU's, has only one, and with nvmm's words for [`SHORT`]
/// ones.
pub(super) fn with_two_dashes(words: &[OsString], machine: fn() -> Command) -> Cow<'_, [OsString]> {
    let mut respelled = Cow::Borrowed(words);
    let mut longs = None;
    for (at, word) in words.iter().enumerate().skip(1) {
        let bytes = word.as_encoded_bytes();
        if bytes == b"--" {
            break;
        }
        if let Some((_, long)) = SHORT.iter().find(|(short, _)| bytes == short.as_bytes()) {
            respelled.to_mut()[at] = (*long).into();
        }
        if bytes.len() <= 2 || bytes[0] != b'-' || bytes[1] == b'-' {
            continue;
        }
        let Some(name) = name_of(word) else { continue };
        let longs = longs.get_or_insert_with(|| long_options(&machine()));
        let is_qemus = net::OPTIONS.contains(&name) || instead_of(name, None).is_some();
        if is_qemus || longs.iter().any(|long| long == name) {
            let mut two = OsString::from("-");
            two.push(word);
            respelled.to_mut()[at] = two;
        }
    }
    respelled
}

/// The error of `command` for the options of QEMU's that nvmm does not take, all of them at once, and after `lines` about others, if there
/// are any.
pub(super) fn refuse(
    words: &[OsString],
    mut lines: Vec<String>,
    command: fn() -> Command,
) -> Option<clap::Error> {
    let options = words.iter().enumerate().skip(1).take_while(|(_, word)| *word != "--");
    for (at, word) in options {
        let Some(name) = name_of(word) else { continue };
        let value = words.get(at + 1).and_then(|value| value.to_str());
        if let Some((option, instead)) = instead_of(name, value) {
            let line = format!("{option} is QEMU's: {instead}");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    // Under each other, after clap's "error: ".
    (!lines.is_empty()).then(|| command().error(ErrorKind::UnknownArgument, lines.join("\n       ")))
}

/// Adds the option with two dashes to clap's error about one of a command's that has only one, as in `nvmm nest -kernel k`. It is not
/// taken there: commands have short options of their own, and words that are a program's.
pub(super) fn suggest_two_dashes(mut error: clap::Error, words: &[OsString], root: &Command) -> clap::Error {
    let Some(ContextValue::String(short)) = error.get(ContextKind::InvalidArg) else { return error };
    let mut command = root;
    for word in words.iter().skip(1) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let longs = long_options(command);
    let refused = words.iter().filter(|word| word.as_encoded_bytes().starts_with(short.as_bytes()));
    let mut names = refused.filter_map(|word| word.to_str()?.strip_prefix('-')?.split('=').next());
    if let Some(long) = names.find_map(|name| longs.iter().find(|long| *long == name)) {
        error.remove(ContextKind::Suggested);
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{long}")));
    }
    error
}

/// The name of an option: without its dashes, and without `=VALUE`.
pub(super) fn name_of(word: &OsStr) -> Option<&str> {
    let one = word.to_str()?.strip_prefix('-')?;
    one.strip_prefix('-').unwrap_or(one).split('=').next()
}

/// The names and aliases of the options with two dashes.
fn long_options(machine: &Command) -> Vec<String> {
    let of_machine = machine.get_arguments().flat_map(|option| {
        let aliases = option.get_all_aliases().unwrap_or_default();
        option.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
    });
    of_machine.chain(["help".to_owned(), "version".to_owned()]).collect()
}

/// QEMU's option as QEMU spells it, and what to do instead, unless nvmm has it.
fn instead_of(name: &str, value: Option<&str>) -> Option<(String, &'static str)> {
    let (_, instead) = OPTIONS.iter().find(|(names, _)| names.contains(&name))?;
    // A device or object is named first.
    let (values, parts) = match name {
        "device" => (DEVICES, 1),
        "object" => (OBJECTS, 1),
        "drive" => (DRIVES, usize::MAX),
        _ => (&[][..], 0),
    };
    let of_value = value.and_then(|value| {
        values.iter().find_map(|(starts, instead)| {
            let begins = |start: &str| value.split(',').take(parts).any(|part| part.starts_with(start));
            let start = starts.iter().find(|start| begins(start))?;
            Some((format!("-{name} {start}"), *instead))
        })
    });
    Some(of_value.unwrap_or_else(|| (format!("-{name}"), instead)))
}

#[cfg(test)]
#[path = "qemu_test.rs"]
mod tests;
