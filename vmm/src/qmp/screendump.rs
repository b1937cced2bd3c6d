//! The arguments of `screendump`.

use std::path::{Path, PathBuf};

use super::{
    arguments::{Argument, Arguments},
    types::Type,
};
use crate::{
    questions::Refusal,
    screendump::{ImageFormat, Screendump},
};

/// The device's name.
const VGA: &str = "vga";

pub(super) const ARGUMENTS: &[Argument] = &[
    Argument::new("filename", Type::String, "the file to make"),
    Argument::optional("device", Type::String, "the display device; there is one, vga"),
    Argument::optional("head", Type::Uint64, "which screen of the device; there is one, 0"),
    Argument::optional(
        "format",
        Type::Enum(&["ppm", "png"]),
        "the file's form; without it, png if the file's name ends so, and else ppm",
    ),
];

/// The requested file.
///
/// # Errors
///
/// The command names a screen that the machine doesn't have.
pub(super) fn screendump(arguments: &mut Arguments) -> Result<Screendump, Refusal> {
    let path: PathBuf = arguments.need::<String>("filename")?.into();
    if let Some(device) = arguments.take::<String>("device")?.filter(|device| device != VGA) {
        return Err(Refusal(format!("Device '{device}' not found")));
    }
    if let Some(head) = arguments.take::<u64>("head")?.filter(|head| *head != 0) {
        return Err(Refusal(format!("there is no head {head}: the device has one screen, 0")));
    }
    let format = match arguments.take::<String>("format")?.as_deref() {
        Some("png") => ImageFormat::Png,
        Some(_) => ImageFormat::Ppm,
        None => by_name(&path),
    };
    Ok(Screendump { path, format })
}

/// The format by a file's extension.
fn by_name(path: &Path) -> ImageFormat {
    let is_png = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if is_png { ImageFormat::Png } else { ImageFormat::Ppm }
}

#[cfg(test)]
#[path = "screendump_test.rs"]
mod tests;
