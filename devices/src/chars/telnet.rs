//! The part of telnet that is needed for a terminal at the other end. RFC 854, RFC 855.

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

/// RFC 856: all eight bits are data, and line ends are not converted.
const BINARY: u8 = 0;
/// RFC 857: the guest echoes what is typed.
const ECHO: u8 = 1;
/// RFC 858: each key is sent at once.
const SUPPRESS_GO_AHEAD: u8 = 3;

/// The greeting for a telnet client: it has to send each key at once, and not to echo it.
pub(super) const GREETING: [u8; 12] =
    [IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, WILL, BINARY, IAC, DO, BINARY];

/// Removes telnet's commands from a client's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parser {
    /// In data.
    #[default]
    Data,
    /// After a carriage return: a NUL follows if nothing else does, unless the client agreed to binary.
    Return,
    /// After IAC.
    Command,
    /// After WILL, WONT, DO or DONT: an option follows. The client's answers to [`GREETING`] need no answer.
    Negotiation,
    /// In the parameters of an option.
    Parameters,
    /// After an IAC in the parameters.
    ParametersCommand,
}

impl Parser {
    /// Keeps only the data in `bytes`, which continue the bytes of earlier calls.
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
