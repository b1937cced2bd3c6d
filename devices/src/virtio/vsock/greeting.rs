//! The line in which a program of the host names the guest's port.

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use std::os::fd::AsFd;

/// The longest line to read. The longest valid one, `CONNECT 4294967295`, has 18 bytes.
const LONGEST: usize = 32;

/// The state of a program's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// More has to come.
    Partial,
    /// The port that the program wants.
    Connect(u32),
    /// The line is no greeting.
    Bad,
}

impl Greeting {
    /// Reads the line from `socket` if it is complete. What follows it is not read.
    pub(super) fn read(socket: impl AsFd) -> Self {
        let socket = socket.as_fd();
        let mut bytes = [0; LONGEST];
        let peeked = loop {
            match recv(socket, bytes.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Ok((len, _)) => break &bytes[..len],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Self::Partial,
                Err(_) => return Self::Bad,
            }
        };
        let Some(end) = peeked.iter().position(|byte| *byte == b'\n') else {
            return if peeked.is_empty() || peeked.len() == LONGEST { Self::Bad } else { Self::Partial };
        };
        let port = parse(&peeked[..end]);
        let mut line = [0; LONGEST];
        match recv(socket, &mut line[..=end], RecvFlags::DONTWAIT) {
            Ok((len, _)) if len == end + 1 => port.map_or(Self::Bad, Self::Connect),
            _ => Self::Bad,
        }
    }
}

fn parse(line: &[u8]) -> Option<u32> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (connect, port) = (words.next()?, words.next()?);
    let is_all = connect.eq_ignore_ascii_case("connect") && words.next().is_none();
    port.parse().ok().filter(|_| is_all && port.bytes().all(|byte| byte.is_ascii_digit()))
}
