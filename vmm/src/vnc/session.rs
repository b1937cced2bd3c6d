//! A session: the bytes from one viewer, and the bytes to it.

use std::{
    fmt, io, mem,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use devices::{display::Screen, input::Input};
use thiserror::Error;

use super::{
    authentication::Password,
    handshake::{Handshake, HandshakeError, Progress},
    keyboard::Keyboard,
    message::{Message, MessageError},
    painter::{KEPT, Painter, Request},
    pixels::PixelFormat,
};

/// The machine that viewers see.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The name, which viewers show.
    pub(crate) name: String,
    /// The required password, if there is one.
    pub(crate) password: Option<Password>,
    /// The screen.
    pub(crate) screen: Arc<dyn Screen>,
    /// The keyboard and pointer.
    pub(crate) input: Arc<dyn Input>,
    /// The state of its Caps Lock, counting only the viewers' presses.
    pub(crate) caps_lock: Arc<AtomicBool>,
}

/// The reason why a session can't go on.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("its picture can't be packed")]
    Paint(#[from] io::Error),
}

/// A session with a viewer.
pub(super) struct Session {
    subject: Arc<Subject>,
    keyboard: Keyboard,
    phase: Phase,
    /// The beginning of an incomplete message.
    input: Vec<u8>,
    /// The bytes to the viewer, and the number of them that are sent.
    output: Vec<u8>,
    sent: usize,
    /// The number of bytes that are still to come and will be ignored.
    skipped: usize,
    request: Option<Request>,
}

enum Phase {
    Handshake(Handshake),
    Running(Box<Painter>),
}

/// The effect of received bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// The user has pressed or moved something, and waits to see the effect.
    pub(super) touched: bool,
}

impl Session {
    /// A session, which starts with a greeting.
    pub(super) fn new(subject: Arc<Subject>) -> Self {
        let mut output = Vec::new();
        let handshake = Handshake::new(&mut output);
        let keyboard = Keyboard::new(Arc::clone(&subject.input), Arc::clone(&subject.caps_lock));
        Self {
            subject,
            keyboard,
            phase: Phase::Handshake(handshake),
            input: Vec::new(),
            output,
            sent: 0,
            skipped: 0,
            request: None,
        }
    }

    /// The time for the viewer's next answer, until it is admitted.
    pub(super) fn patience(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Handshake(handshake) => Some(handshake.patience()),
            Phase::Running(_) => None,
        }
    }

    /// Takes received bytes.
    ///
    /// # Errors
    ///
    /// The bytes are invalid. The output may have a last message for the viewer.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        let mut input = mem::take(&mut self.input);
        input.extend(bytes);
        let mut rest = &input[..];
        let mut received = Received::default();
        loop {
            let skipped = rest.len().min(self.skipped);
            self.skipped -= skipped;
            rest = &rest[skipped..];
            let len = self.take(rest, &mut received)?;
            if len == 0 {
                break;
            }
            rest = &rest[len..];
        }
        let taken = input.len() - rest.len();
        input.drain(..taken);
        self.input = input;
        Ok(received)
    }

    /// Takes an answer or a message at the beginning of `bytes`, and returns its length; 0 if it is incomplete.
    fn take(&mut self, bytes: &[u8], received: &mut Received) -> Result<usize, SessionError> {
        match &mut self.phase {
            Phase::Handshake(handshake) => {
                let password = self.subject.password.as_ref();
                Ok(match handshake.take(bytes, password, &mut self.output)? {
                    Progress::Waits => 0,
                    Progress::Took(len) => len,
                    Progress::Done(len) => {
                        self.begin();
                        len
                    }
                })
            }
            Phase::Running(_) => match Message::parse(bytes)? {
                None => Ok(0),
                Some((message, len)) => {
                    received.touched |= self.on_message(message);
                    Ok(len)
                }
            },
        }
    }

    /// Describes the screen to an admitted viewer: RFC 6143, "ServerInit".
    fn begin(&mut self) {
        let painter = Painter::new(&*self.subject.screen);
        let (width, height) = painter.size();
        [width, height].iter().for_each(|number| self.output.extend(number.to_be_bytes()));
        self.output.extend(PixelFormat::default().to_bytes());
        let name = self.subject.name.as_bytes();
        self.output.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
        self.output.extend(name);
        self.phase = Phase::Running(Box::new(painter));
    }

    /// Carries out a message. Returns whether the user pressed or moved something.
    fn on_message(&mut self, message: Message) -> bool {
        let Phase::Running(painter) = &mut self.phase else { return false };
        match message {
            Message::SetPixelFormat(format) => painter.set_format(format),
            Message::SetEncodings(list) => painter.set_encodings(&list),
            Message::UpdateRequest { incremental, area } => {
                let request = self.request.get_or_insert_default();
                if !incremental {
                    request.add(area);
                }
            }
            Message::Key { pressed, keysym } => {
                self.keyboard.keysym(keysym, pressed);
                return true;
            }
            Message::ExtendedKey { pressed, code } => {
                self.keyboard.code(code, pressed);
                return true;
            }
            Message::Pointer { buttons, x, y } => {
                self.keyboard.pointer(buttons, (x, y), painter.size());
                return true;
            }
            Message::Text(len) => self.skipped = usize::try_from(len).unwrap_or(usize::MAX),
            Message::SetDesktopSize => painter.refuse_size(),
        }
        false
    }

    /// Returns whether the viewer waits for an update, and has read everything before it.
    pub(super) fn wants_update(&self) -> bool {
        self.request.is_some() && self.output.is_empty()
    }

    /// Answers the viewer's request for an update if there is anything to send, and returns whether there was.
    ///
    /// # Errors
    ///
    /// The picture can't be compressed.
    pub(super) fn update(&mut self) -> Result<bool, SessionError> {
        let (Phase::Running(painter), Some(request)) = (&mut self.phase, self.request) else {
            return Ok(false);
        };
        let painted = painter.paint(&*self.subject.screen, request, &mut self.output)?;
        if painted {
            self.request = None;
        }
        Ok(painted)
    }

    /// The number of bytes kept of incomplete messages.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn kept(&self) -> usize {
        self.input.len()
    }

    /// The bytes for the viewer.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// Removes the first `len` bytes for the viewer, which are sent.
    pub(super) fn sent(&mut self, len: usize) {
        self.sent += len;
        if self.sent >= self.output.len() {
            self.output.clear();
            self.output.shrink_to(KEPT);
            self.sent = 0;
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
