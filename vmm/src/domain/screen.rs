//! `<graphics>`, `<video>` and `<input>`.

use super::{
    part::{
        COMMON, Part,
        Rule::{Idle, Missing},
        Rules,
    },
    reader::{Reader, origin, path_part},
};

const OPTION: &str = "display";
/// The value of `--display` for a screen without viewers.
const SCREEN: &str = "vga";
/// The TCP port of display 0.
const FIRST_PORT: u16 = 5900;
/// The first free display, in the range that libvirt's driver uses.
const ANY_DISPLAY: &str = "0,to=59635";

const GRAPHICS: &Rules = &[
    ("audio", Idle("nvmm's guests make no sound")),
    ("gl", Missing("nvmm's guests have no OpenGL")),
    ("@keymap", Idle("the viewer tells which keys are pressed")),
    ("@sharePolicy", Idle("several viewers may look")),
    ("@powerControl", Idle("viewers press no power button")),
    ("@connected", Idle("nvmm leaves viewers alone")),
    ("@websocket", Missing("nvmm's screen has no WebSocket; websockify makes one of it")),
    ("@passwdValidTo", Missing("nvmm's passwords are valid until it ends")),
    ("@wait", Idle("nvmm waits for no viewer")),
];

/// `<graphics>`: the guest has a screen, perhaps with viewers.
pub(super) fn graphics<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if reader.is_replaced(OPTION, element) {
        return;
    }
    match element.attribute("type") {
        Some("vnc") if reader.is_watched => {
            element.leave(Missing("nvmm has one screen, which several viewers may look at"));
        }
        Some("vnc") => {
            if let Some(word) = vnc(element) {
                reader.is_watched = true;
                reader.screen = Some((origin(element), word));
            }
        }
        Some("spice" | "sdl" | "rdp" | "desktop" | "egl-headless" | "dbus") => {
            element.leave(Missing("nvmm's screen is looked at by VNC alone; give --display vnc=:0 for that"));
            reader.screen.get_or_insert_with(|| (origin(element), SCREEN.to_owned()));
        }
        _ => element.refuse_attribute("type", "give vnc"),
    }
}

/// The value of `--display` for a screen with a VNC server.
fn vnc(element: Part<'_, '_>) -> Option<String> {
    if element.attribute("passwd").is_some() {
        element.refuse(
            "nvmm reads a password from a file; take it out, and give --display vnc=HOST:N,password-file=PATH",
        );
        return None;
    }
    let listens = element.all("listen");
    let listen = listens.first().copied();
    listens.iter().skip(1).for_each(|other| other.leave(Missing("nvmm listens at one place, the first")));
    let by_listen = listen.and_then(|listen| listen.attribute("address"));
    let socket = listen.and_then(|listen| listen.attribute("socket")).or_else(|| element.attribute("socket"));
    if let Some(listen) = listen {
        match listen.attribute("type") {
            Some("network") => {
                listen.leave(Missing("nvmm listens at 127.0.0.1; give type='address' and an address"));
            }
            // A server that gets its connections from other programs.
            Some("none") => {
                element.leave(Missing("nvmm's server listens for viewers; give type='address'"));
                return Some(SCREEN.to_owned());
            }
            _ => {}
        }
    }
    let by_graphics = element.attribute("listen");
    let host = by_listen.or(by_graphics).unwrap_or_default();
    let port = element.attribute("port");
    let is_chosen = element.attribute("autoport") == Some("yes");
    element.rest(&[COMMON, GRAPHICS]);
    if let Some(socket) = socket {
        return Some(format!("vnc=unix:{}", path_part(socket)));
    }
    let display = match port.map(str::parse::<u16>) {
        _ if is_chosen || port.is_none_or(|port| port == "-1") => ANY_DISPLAY.to_owned(),
        Some(Ok(port)) if port >= FIRST_PORT => (port - FIRST_PORT).to_string(),
        _ => {
            element.refuse_attribute("port", "give a number from 5900 to 65535, or -1");
            return None;
        }
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(format!("vnc={}:{display}", host.replace(',', ",,")))
}

/// `<input>`: nvmm's screen has a keyboard and a tablet.
pub(super) fn input<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    match element.attribute("type") {
        Some("tablet" | "keyboard") => {
            element.skip();
            reader.inputs.push(element);
        }
        _ => element.leave(Missing(
            "nvmm has no pointer but the tablet of its screen, and no keys but its keyboard's; the guest runs without it",
        )),
    }
}

/// Adds `--display`, after everything was read.
pub(super) fn finish(reader: &mut Reader<'_, '_>) {
    let has_screen = reader.screen.is_some() || !reader.wants(OPTION);
    for element in std::mem::take(&mut reader.inputs) {
        if has_screen {
            element.idle("nvmm's screen always has a PS/2 keyboard, and a tablet by virtio-input");
        } else {
            element.missing(
                "nvmm has it with a screen alone, as <graphics> asks for one; the guest runs without it",
            );
        }
    }
    if let Some((from, word)) = reader.screen.take() {
        reader.emit_from(from, OPTION, word);
    }
}

/// `<video>`.
pub(super) fn video<'f, 'd>(_: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let model = element.child("model").and_then(|model| model.attribute("type"));
    element.skip();
    match model {
        None | Some("vga" | "bochs" | "none") => {
            element.idle("nvmm's screen is QEMU's standard one, where a <graphics> asks for it");
        }
        Some(_) => element.missing("nvmm's screen is QEMU's standard one, where a <graphics> asks for it"),
    }
}
