//! `--display`.

use std::ffi::OsStr;

use devices::{display::vga::Resolution, printable::ToPrintable};

use super::{error::ConfigError, keys::Keys, vnc::VncConfig, words};

const OPTION: &str = "--display";
const KNOWN: &str = "none, vga[,xres=N,yres=N], or vnc=HOST:N or vnc=unix:PATH, with password-file=PATH, to=N, xres=N,yres=N behind";
/// The default of the size that the guest should prefer.
const USUAL: Resolution = Resolution { width: 1280, height: 800 };

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayConfig {
    /// The size that the guest should prefer.
    pub resolution: Resolution,
    /// The VNC server.
    pub vnc: Option<VncConfig>,
}

impl DisplayConfig {
    /// Parses a `--display`: there is a screen unless it is `none`.
    ///
    /// # Errors
    ///
    /// The value is invalid.
    pub(super) fn parse(given: &OsStr) -> Result<Option<Self>, ConfigError> {
        parse(&words::encode(given)).map_err(|why| ConfigError::Keys {
            option: OPTION,
            given: given.printable().to_string(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<Option<DisplayConfig>, String> {
    let (place, rest) = match text.split_once(',') {
        Some((place, rest)) => (place, Some(rest)),
        None => (text, None),
    };
    let is_alone = rest.is_none();
    let rest = rest.into_iter().flat_map(|rest| rest.split(','));
    match place {
        "none" if is_alone => Ok(None),
        "none" => Err("'none' is no screen, and has no keys".to_owned()),
        "vga" => {
            let mut keys = Keys::of(rest)?;
            let resolution = resolution(&mut keys)?;
            keys.end("xres=N,yres=N")?;
            Ok(Some(DisplayConfig { resolution, vnc: None }))
        }
        _ => {
            let place = place.strip_prefix("vnc=").ok_or_else(|| format!("give {KNOWN}"))?;
            let mut keys = Keys::of(rest)?;
            let vnc = VncConfig::parse(place, &mut keys)?;
            let resolution = resolution(&mut keys)?;
            keys.end("password-file=PATH, to=N, xres=N,yres=N; a comma in a path is written twice")?;
            Ok(Some(DisplayConfig { resolution, vnc: Some(vnc) }))
        }
    }
}

/// Parses `xres=N,yres=N`.
fn resolution(keys: &mut Keys<'_>) -> Result<Resolution, String> {
    let number = |text: &str| words::number::<u16>(text);
    let given = (keys.value("xres", "N")?, keys.value("yres", "N")?);
    let resolution = match given {
        (None, None) => return Ok(USUAL),
        (Some(width), Some(height)) => {
            number(width).zip(number(height)).map(|(width, height)| Resolution { width, height })
        }
        _ => return Err("give xres=N and yres=N together".to_owned()),
    };
    resolution.filter(|resolution| resolution.is_possible()).ok_or_else(|| {
        "give xres= from 640 to 4088, a multiple of 8, and yres= from 480 to 4088; both together at most 4194304 pixels, such as 2560 by 1600"
            .to_owned()
    })
}

#[cfg(test)]
#[path = "display_test.rs"]
mod tests;
