//! The start of a session: RFC 6143, "Handshaking Messages" and "Initialization Messages".

use std::{io, time::Duration};

use thiserror::Error;

use super::authentication::{self, Block, Password};

/// The newest version of the protocol.
const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// Security types.
const NONE: u8 = 1;
const VNC: u8 = 2;
/// A security result.
const OK: [u8; 4] = 0_u32.to_be_bytes();
const FAILED: [u8; 4] = 1_u32.to_be_bytes();
/// The reason sent after a wrong password.
const WRONG: &[u8] = b"the password is wrong";
/// The time for an answer that the viewer gives by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time for its user to type a password.
const TYPING: Duration = Duration::from_secs(90);

/// The version of the protocol that a viewer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3,
    V7,
    V8,
}

/// A viewer's next answer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Version,
    Security(Version),
    Response(Version, Block),
    Init,
}

/// A viewer that is not admitted yet.
#[derive(Debug)]
pub(super) struct Handshake(Step);

/// The reason why a viewer is not admitted.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    #[error("it does not speak VNC's protocol")]
    Version,
    #[error("it wants the security type {0}, which it was not offered")]
    Security(u8),
    #[error("its password is wrong")]
    Password,
    #[error("it can't be asked for a password")]
    Challenge(#[source] io::Error),
}

/// The result of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer is not complete yet.
    Waits,
    /// The answer had this many bytes.
    Took(usize),
    /// The answer was the last one, with this many bytes: the viewer is admitted.
    Done(usize),
}

impl Handshake {
    /// Greets a viewer.
    pub(super) fn new(output: &mut Vec<u8>) -> Self {
        output.extend(VERSION);
        Self(Step::Version)
    }

    /// The time that the viewer has for its answer.
    pub(super) fn patience(&self) -> Duration {
        if matches!(self.0, Step::Response(..)) { TYPING } else { PATIENCE }
    }

    /// Takes an answer from the beginning of `bytes`, and appends the next question.
    ///
    /// # Errors
    ///
    /// The answer is invalid, or the password is wrong; `output` reports it to the viewer.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        password: Option<&Password>,
        output: &mut Vec<u8>,
    ) -> Result<Progress, HandshakeError> {
        match self.0 {
            Step::Version => {
                let start = &VERSION[..bytes.len().min(4)];
                if !bytes.starts_with(start) {
                    return Err(HandshakeError::Version);
                }
                let Some(bytes) = bytes.first_chunk() else { return Ok(Progress::Waits) };
                self.on_version(Version::parse(bytes)?, password, output)?;
                Ok(Progress::Took(VERSION.len()))
            }
            Step::Security(version) => {
                let Some(&chosen) = bytes.first() else { return Ok(Progress::Waits) };
                match (chosen, password) {
                    (NONE, None) => {
                        if version >= Version::V8 {
                            output.extend(OK);
                        }
                        self.0 = Step::Init;
                    }
                    (VNC, Some(_)) => self.challenge(version, output)?,
                    _ => return Err(HandshakeError::Security(chosen)),
                }
                Ok(Progress::Took(1))
            }
            Step::Response(version, challenge) => {
                let Some(response) = bytes.first_chunk() else { return Ok(Progress::Waits) };
                if !password.is_some_and(|password| password.is_proven(&challenge, response)) {
                    output.extend(FAILED);
                    if version >= Version::V8 {
                        output.extend(u32::try_from(WRONG.len()).unwrap_or_default().to_be_bytes());
                        output.extend(WRONG);
                    }
                    return Err(HandshakeError::Password);
                }
                output.extend(OK);
                self.0 = Step::Init;
                Ok(Progress::Took(response.len()))
            }
            // Its flag, whether other viewers may stay, is ignored: here they share the screen.
            Step::Init => Ok(if bytes.is_empty() { Progress::Waits } else { Progress::Done(1) }),
        }
    }

    fn on_version(
        &mut self,
        version: Version,
        password: Option<&Password>,
        output: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let security = if password.is_some() { VNC } else { NONE };
        if version >= Version::V7 {
            output.extend([1, security]);
            self.0 = Step::Security(version);
            return Ok(());
        }
        // An old viewer gets the type, and has no choice.
        output.extend(u32::from(security).to_be_bytes());
        match password {
            Some(_) => self.challenge(version, output),
            None => {
                self.0 = Step::Init;
                Ok(())
            }
        }
    }

    fn challenge(&mut self, version: Version, output: &mut Vec<u8>) -> Result<(), HandshakeError> {
        let challenge = authentication::challenge().map_err(HandshakeError::Challenge)?;
        output.extend(challenge);
        self.0 = Step::Response(version, challenge);
        Ok(())
    }
}

impl Version {
    /// Parses `RFB 003.00N`. An unknown minor version counts as the next older one.
    fn parse(bytes: &[u8; 12]) -> Result<Self, HandshakeError> {
        let [b'R', b'F', b'B', b' ', b'0', b'0', b'3', b'.', minor @ .., b'\n'] = bytes else {
            return Err(HandshakeError::Version);
        };
        if !minor.iter().all(u8::is_ascii_digit) {
            return Err(HandshakeError::Version);
        }
        match minor.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')) {
            ..3 => Err(HandshakeError::Version),
            3..7 => Ok(Self::V3),
            7 => Ok(Self::V7),
            8.. => Ok(Self::V8),
        }
    }
}

#[cfg(test)]
#[path = "handshake_test.rs"]
mod tests;
