//! `screendump`: writes the screen's picture to a file.

use std::path::PathBuf;

use devices::display::{Picture, Screen};
use png::{BitDepth, ColorType, Encoder, EncodingError};
use thiserror::Error;

use crate::output::{OutputError, Taken};

/// The format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    /// Portable Network Graphics.
    Png,
    /// Netpbm's binary portable pixmap.
    Ppm,
}

/// A picture file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Screendump {
    /// The path.
    pub(crate) path: PathBuf,
    /// The format.
    pub(crate) format: ImageFormat,
}

/// The reason why there is no file.
#[derive(Debug, Error)]
pub(crate) enum ScreendumpError {
    /// The machine has no screen.
    #[error("the machine has no screen; start it with --display vga")]
    NoScreen,
    /// The guest hasn't switched the screen on.
    #[error("the screen shows nothing yet")]
    Empty,
    /// The picture can't be encoded as PNG.
    #[error("the picture can't be written as PNG")]
    Png(#[from] EncodingError),
    /// The path is not a regular file, or must not be overwritten.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Screendump {
    /// Writes the picture of `screen` to the file, which appears only when it is complete. No file in `taken` is overwritten.
    ///
    /// # Errors
    ///
    /// The screen has no picture, or the file can't be written.
    pub(crate) fn write(&self, screen: Option<&dyn Screen>, taken: &Taken) -> Result<(), ScreendumpError> {
        let screen = screen.ok_or(ScreendumpError::NoScreen)?;
        let mut seen = ((0, 0), Vec::new());
        screen.look(&mut |picture| seen = (picture.size(), rgb(picture)));
        let (size, pixels) = seen;
        if pixels.is_empty() {
            return Err(ScreendumpError::Empty);
        }
        let bytes = match self.format {
            ImageFormat::Png => png(size, &pixels)?,
            ImageFormat::Ppm => ppm(size, &pixels),
        };
        Ok(taken.replace_whole("screendump", &self.path, &bytes)?)
    }
}

/// The pixels of a picture, three bytes each.
fn rgb(picture: &Picture) -> Vec<u8> {
    let (width, height) = picture.size();
    let rows = (0..height).flat_map(|row| picture.row(row, 0..width));
    rows.flat_map(|pixel| pixel.to_be_bytes().into_iter().skip(1)).collect()
}

fn png((width, height): (u16, u16), pixels: &[u8]) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width.into(), height.into());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn ppm((width, height): (u16, u16), pixels: &[u8]) -> Vec<u8> {
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    bytes.extend(pixels);
    bytes
}

#[cfg(test)]
#[path = "screendump_test.rs"]
mod tests;
