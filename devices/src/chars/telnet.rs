//! The part of telnet that a terminal at its other end needs. RFC 854, RFC 855.

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

/// RFC 856: all eight bits, and nothing is done to the ends of lines.
const BINARY: u8 = 0;
/// RFC 857: the guest echoes what is typed.
const ECHO: u8 = 1;
/// RFC 858: with this, each key is sent at once.
const SUPPRESS_GO_AHEAD: u8 = 3;

/// The greeting of a telnet client: each key is to be sent as it is, and is not to be shown.
pub(super) const GREETING: [u8; 12] =
    [IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, WILL, BINARY, IAC, DO, BINARY];

/// Takes telnet's commands out of what a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parser {
    /// Among the client's own bytes.
    #[default]
    Data,
    /// After a carriage return, which a NUL follows where nothing else does, unless the client agreed to binary.
    Return,
    /// After IAC.
    Command,
    /// After WILL, WONT, DO or DONT: an option follows. The client's answers to [`GREETING`] need no answer.
    Negotiation,
    /// Among the parameters of an option.
    Parameters,
    /// After an IAC among them.
    ParametersCommand,
}

impl Parser {
    /// Keeps what is the client's own of `bytes`, which follow those that came before.
    pub(super) fn strip(&mut self, bytes: &mut Vec<u8>) {
        bytes.retain(|&byte| self.is_data(byte));
    }

    fn is_data(&mut self, byte: u8) -> bool {
        let (next, is_data) = match (*self, byte) {
            (Self::Data | Self::Return, IAC) => (Self::Command, false),
            (Self::Return, 0) => (Self::Data, false),
            (Self::Data | Self::Return, b'\r') => (Self::Return, true),
            (Self::Data | Self::Return, _) => (Self::Data, true),
            (Self::Command, IAC) => (Self::Data, true),
            (Self::Command, WILL | WONT | DO | DONT) => (Self::Negotiation, false),
            (Self::Command, SB) => (Self::Parameters, false),
            (Self::Command | Self::Negotiation, _) => (Self::Data, false),
            (Self::Parameters, IAC) => (Self::ParametersCommand, false),
            (Self::ParametersCommand, SE) => (Self::Data, false),
            (Self::Parameters | Self::ParametersCommand, _) => (Self::Parameters, false),
        };
        *self = next;
        is_data
    }
}

#[cfg(test)]
#[path = "telnet_test.rs"]
mod tests;
