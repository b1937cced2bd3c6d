//! Messages of viewers: RFC 6143, "Client-to-Server Messages".

use devices::display::Rect;
use thiserror::Error;

use super::pixels::{FormatError, PixelFormat};

/// The most encodings that a viewer may list. Real viewers list about twenty.
const MOST_ENCODINGS: usize = 1024;
/// The longest clipboard text of a viewer, in bytes: QEMU's limit.
const LONGEST_TEXT: u32 = 1 << 20;

/// A message of a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The form of pixels to be used from now on.
    SetPixelFormat(PixelFormat),
    /// The encodings that the viewer supports, the best first, and pseudo-encodings.
    SetEncodings(Vec<i32>),
    /// The viewer requests an update, with all of `area` even if it has not changed.
    UpdateRequest {
        incremental: bool,
        area: Rect,
    },
    /// A key by its character.
    Key {
        pressed: bool,
        keysym: u32,
    },
    /// QEMU's extended key event: a key by its scancode and its character.
    ExtendedKey {
        pressed: bool,
        code: u32,
    },
    Pointer {
        buttons: u8,
        x: u16,
        y: u16,
    },
    /// The viewer's clipboard: this many bytes follow, which are ignored.
    Text(u32),
    /// The viewer requests another size.
    SetDesktopSize,
}

/// The reason why a message is invalid.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum MessageError {
    #[error("it sent a message of the unknown type {0}")]
    Type(u8),
    #[error("it sent QEMU's message of the unknown type {0}")]
    QemuType(u8),
    #[error("it listed {0} encodings, of which {MOST_ENCODINGS} would be enough")]
    Encodings(usize),
    #[error("it sent {0} bytes of clipboard, and the most are {LONGEST_TEXT}")]
    Text(u32),
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl Message {
    /// Takes the message at the beginning of `bytes`, and returns it with its length; none if it is not complete yet.
    ///
    /// # Errors
    ///
    /// The message is invalid, or asks for too much.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, MessageError> {
        let Some(&kind) = bytes.first() else { return Ok(None) };
        match kind {
            0 => fixed(bytes, |b: &[u8; 20]| {
                let (_, &format) = b.split_last_chunk::<16>().ok_or(MessageError::Type(kind))?;
                Ok(Self::SetPixelFormat(PixelFormat::parse(&format)?))
            }),
            2 => {
                let Some(count) = bytes.get(2..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
                let count = usize::from(u16::from_be_bytes(*count));
                if count > MOST_ENCODINGS {
                    return Err(MessageError::Encodings(count));
                }
                let len = 4 + 4 * count;
                let Some(list) = bytes.get(4..len) else { return Ok(None) };
                let list = list.as_chunks().0.iter().map(|bytes| i32::from_be_bytes(*bytes)).collect();
                Ok(Some((Self::SetEncodings(list), len)))
            }
            3 => fixed(bytes, |&[_, incremental, x, x_, y, y_, w, w_, h, h_]: &[u8; 10]| {
                let [x, y, width, height] = [[x, x_], [y, y_], [w, w_], [h, h_]].map(u16::from_be_bytes);
                let area = Rect { x, y, width, height };
                Ok(Self::UpdateRequest { incremental: incremental != 0, area })
            }),
            4 => fixed(bytes, |&[_, pressed, _, _, a, b, c, d]: &[u8; 8]| {
                Ok(Self::Key { pressed: pressed != 0, keysym: u32::from_be_bytes([a, b, c, d]) })
            }),
            5 => fixed(bytes, |&[_, buttons, x, x_, y, y_]: &[u8; 6]| {
                let [x, y] = [[x, x_], [y, y_]].map(u16::from_be_bytes);
                Ok(Self::Pointer { buttons, x, y })
            }),
            6 => fixed(bytes, |&[_, _, _, _, a, b, c, d]: &[u8; 8]| match u32::from_be_bytes([a, b, c, d]) {
                len if len > LONGEST_TEXT => Err(MessageError::Text(len)),
                len => Ok(Self::Text(len)),
            }),
            251 => {
                let Some(&screens) = bytes.get(6) else { return Ok(None) };
                let len = 8 + 16 * usize::from(screens);
                Ok((bytes.len() >= len).then_some((Self::SetDesktopSize, len)))
            }
            255 => match bytes.get(1) {
                None => Ok(None),
                Some(0) => fixed(bytes, |&[_, _, high, low, _, _, _, _, a, b, c, d]: &[u8; 12]| {
                    let code = u32::from_be_bytes([a, b, c, d]);
                    Ok(Self::ExtendedKey { pressed: [high, low] != [0, 0], code })
                }),
                Some(&other) => Err(MessageError::QemuType(other)),
            },
            other => Err(MessageError::Type(other)),
        }
    }
}

/// A message of `N` bytes.
fn fixed<const N: usize>(
    bytes: &[u8],
    message: impl FnOnce(&[u8; N]) -> Result<Message, MessageError>,
) -> Result<Option<(Message, usize)>, MessageError> {
    bytes.first_chunk().map(|bytes| Ok((message(bytes)?, N))).transpose()
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
