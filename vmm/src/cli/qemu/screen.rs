//! The screen: `-vnc`, `-display` and `-vga`.

use super::{given::Given, translator::Translator};

const OPTION: &str = "--display";
const NO_VNC: &str = "nvmm has no VNC server yet; leave it out, or say --display vga for a screen whose picture nvmm ctl SOCKET screendump saves";
const WINDOWS: &str = "nvmm opens no windows; say --display vga for a screen whose picture nvmm ctl SOCKET screendump saves, or -display none";
const CARD: &str = "nvmm's guests have a screen, QEMU's standard one, only with --display vga";

/// `-vnc`.
pub(super) fn vnc(translator: &mut Translator, given: &Given) -> Result<(), String> {
    if given.first() != "none" {
        return Err(NO_VNC.to_owned());
    }
    translator.idle(given, "nvmm has a screen only where it is asked for");
    Ok(())
}

/// `-display`, which is nvmm's, too.
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
        "vnc" => Err(NO_VNC.to_owned()),
        _ => Err(WINDOWS.to_owned()),
    }
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

/// `-device VGA` and its like, which is the screen where `--display` asks for it.
pub(super) fn card(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.idle(given, CARD);
    Ok(())
}
