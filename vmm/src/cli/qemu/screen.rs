//! The screen: `-vnc`, `-display` and `-vga`.

use super::{
    given::Given,
    keys::{Keys, joined},
    translator::Translator,
};

const OPTION: &str = "--display";
const WINDOWS: &str = "nvmm opens no windows; say -vnc :0 and look at it with a VNC viewer, or --display vga for a screen whose picture nvmm ctl SOCKET screendump saves, or -display none";
const CARD: &str = "nvmm's guests have a screen, QEMU's standard one, only with --display vga or -vnc";
const NO_PASSWORD: &str = "nvmm reads the password from a file: say --display vnc=HOST:N,password-file=PATH";
const NO_TLS: &str = "nvmm's VNC is not encrypted; leave it out, say -vnc 127.0.0.1:N and an SSH tunnel";
/// Keys of `-vnc` without an effect: several viewers always share the screen.
const IDLE: [(&str, &[&str]); 11] = [
    ("share", &[]),
    ("lossy", &[]),
    ("non-adaptive", &[]),
    ("key-delay-ms", &[]),
    ("id", &[]),
    ("display", &[]),
    ("head", &[]),
    ("password", &["off", "no", "false"]),
    ("websocket", &["off"]),
    ("sasl", &["off", "no", "false"]),
    ("power-control", &["off", "no", "false"]),
];
/// Keys that are not supported.
const REFUSED: [(&str, &str); 12] = [
    ("password", NO_PASSWORD),
    ("password-secret", NO_PASSWORD),
    ("tls-creds", NO_TLS),
    ("tls-authz", NO_TLS),
    ("tls", NO_TLS),
    ("x509", NO_TLS),
    ("sasl", "nvmm knows no users; say --display vnc=HOST:N,password-file=PATH"),
    ("sasl-authz", "nvmm knows no users; say --display vnc=HOST:N,password-file=PATH"),
    ("websocket", "nvmm's screen has no WebSocket; websockify makes one of it"),
    ("reverse", "nvmm waits for viewers, and connects to none"),
    ("power-control", "viewers press no power button; nvmm ctl SOCKET system_powerdown does"),
    ("audiodev", "nvmm has no sound; leave it out"),
];

/// `-vnc`. An empty host means all addresses.
pub(super) fn vnc(translator: &mut Translator, given: &Given) -> Result<(), String> {
    if given.text() == "none" {
        translator.idle(given, "nvmm has a screen only where it is asked for");
        return Ok(());
    }
    let mut keys = given.keys("vnc")?;
    let place = keys.take("vnc").unwrap_or_default();
    let place = match place.strip_prefix(':') {
        Some(display) => format!("0.0.0.0:{display}"),
        None => place,
    };
    serve(translator, given, &place, keys)
}

/// `-display`, which is also an option of nvmm.
pub(super) fn display(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let text = given.text();
    match text.split(['=', ',']).next().unwrap_or_default() {
        "none" if text == "none" => {
            translator.idle(given, "nvmm has a screen only where it is asked for");
            Ok(())
        }
        "vga" => {
            translator.emit(given, OPTION, Some(text.into()));
            Ok(())
        }
        "vnc" => {
            let mut keys = given.keys("")?;
            let place = keys.take("vnc").unwrap_or_default();
            serve(translator, given, &place, keys)
        }
        _ => Err(WINDOWS.to_owned()),
    }
}

/// Adds a VNC server at `place`.
fn serve(translator: &mut Translator, given: &Given, place: &str, mut keys: Keys) -> Result<(), String> {
    if place == "none" {
        return Err(
            "nvmm's server waits for viewers from its start on; say :0, or another display".to_owned()
        );
    }
    let idle = keys.take_idle(&IDLE);
    translator.idle_keys(given, &idle);
    if let Some((key, why)) = REFUSED.into_iter().find(|(key, _)| keys.get(key).is_some()) {
        return Err(format!("{key}: {why}"));
    }
    let mut words = vec![format!("vnc={place}")];
    for key in ["to", "password-file", "xres", "yres"] {
        words.extend(keys.take(key).map(|value| format!("{key}={value}")));
    }
    keys.end()?;
    translator.emit(given, OPTION, Some(joined(words.iter().map(String::as_str))));
    Ok(())
}

/// `-vga`.
pub(super) fn vga(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.first().as_str() {
        "none" | "std" => {
            translator.idle(given, CARD);
            Ok(())
        }
        _ => Err("nvmm's screen is QEMU's standard one; say -vga std, or leave it out".to_owned()),
    }
}

/// `-device VGA` and similar, which is the screen if `--display` asks for one.
pub(super) fn card(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.idle(given, CARD);
    Ok(())
}
