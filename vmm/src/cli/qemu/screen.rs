//! The screen: `-vnc`, `-display` and `-vga`.

use super::{given::Given, keys::joined, translator::Translator};

/// The option that the screen has in nvmm. Where nvmm has none, what needs it is refused.
const OPTION: &str = "display";
const MISSING: &str =
    "nvmm has no screen yet; leave it out, and the guest's console is COM1, which --serial places";
const WINDOWS: &str = "nvmm opens no windows; say -vnc :0, and connect a viewer to it, or -display none";

/// `-vnc`.
pub(super) fn vnc(translator: &mut Translator, given: &Given) -> Result<(), String> {
    show(translator, given, &given.text())
}

/// `-display`, which is nvmm's, too.
pub(super) fn display(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let text = given.text();
    match text.split(['=', ',']).next().unwrap_or_default() {
        "none" if text == "none" => {
            translator.idle(given, "nvmm has a screen only where -vnc asks for it");
            Ok(())
        }
        "vnc" => show(translator, given, text.strip_prefix("vnc=").unwrap_or_default()),
        _ => Err(WINDOWS.to_owned()),
    }
}

/// The words of `--display` for those of `-vnc`.
fn show(translator: &mut Translator, given: &Given, text: &str) -> Result<(), String> {
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    if place == "none" {
        translator.idle(given, "nvmm has a screen only where it is asked for");
        return Ok(());
    }
    if !translator.nvmm_has(OPTION) {
        return Err(MISSING.to_owned());
    }
    let mut value = format!("vnc={place}");
    for part in parts {
        match part {
            // Several may look, as with nvmm's.
            "share=ignore" | "share=force-shared" | "password=off" | "lossy=off" | "websocket=off" => {}
            "password" | "password=on" => {
                return Err(
                    "nvmm reads the password from a file; say --display vnc=HOST:N,password-file=PATH"
                        .to_owned(),
                );
            }
            _ if part.starts_with("password-file=") => {
                value.push(',');
                value.push_str(part);
            }
            _ => return Err(format!("'{part}' means nothing here; leave it out")),
        }
    }
    if place.starts_with(':') {
        translator.missing(given, "only this host's viewers reach it; -vnc 0.0.0.0:N is for all");
    }
    translator.emit(given, &format!("--{OPTION}"), Some(joined([value.as_str()])));
    Ok(())
}

/// `-vga`.
pub(super) fn vga(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.first().as_str() {
        "none" | "std" => {
            translator
                .idle(given, "nvmm's guests have a screen only with -vnc, and it is QEMU's standard one");
            Ok(())
        }
        _ => Err("nvmm's screen is QEMU's standard one; say -vga std, or leave it out".to_owned()),
    }
}

/// `-device VGA` and its like, which is the screen where `-vnc` asks for it.
pub(super) fn card(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.idle(given, "nvmm's guests have a screen only with -vnc, and it is QEMU's standard one");
    Ok(())
}
