//! A client of gdb's remote protocol, for tests of features that gdb itself doesn't use, and for hosts without gdb.

#![allow(dead_code, reason = "each of its users uses a part of it")]

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

/// The longest time to wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// The numbers of registers.
pub(crate) const RAX: usize = 0;
pub(crate) const RDX: usize = 3;
pub(crate) const RIP: usize = 16;

/// A connection to a stub.
pub(crate) struct Remote(UnixStream);

impl Remote {
    /// Connects once a stub listens there, and turns off acknowledgments.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Err(error) if started.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
                Ok(stream) => break stream,
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut remote = Self(stream);
        remote.ask("QStartNoAckMode")?;
        Ok(remote)
    }

    /// Sends bytes unchanged.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Sends a packet.
    pub(crate) fn tell(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.send(format!("${packet}#{sum:02x}").as_bytes())
    }

    /// Sends a packet, and returns the answer.
    pub(crate) fn ask(&mut self, packet: &str) -> io::Result<String> {
        self.tell(packet)?;
        let answer = self.answer();
        answer.map_err(|error| io::Error::other(format!("{packet} is not answered: {error}")))
    }

    /// The next packet, without run-length encoding.
    pub(crate) fn answer(&mut self) -> io::Result<String> {
        let mut packet = Vec::new();
        while self.byte()? != b'$' {}
        loop {
            match self.byte()? {
                b'#' => break,
                b'*' => {
                    let times = usize::from(self.byte()?).saturating_sub(29);
                    let last = packet.last().copied().unwrap_or_default();
                    packet.extend(vec![last; times]);
                }
                byte => packet.push(byte),
            }
        }
        // The checksum.
        self.byte()?;
        self.byte()?;
        String::from_utf8(packet).map_err(io::Error::other)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Sends a packet, to which the answer must be OK.
    pub(crate) fn order(&mut self, packet: &str) -> io::Result<()> {
        match self.ask(packet)? {
            answer if answer == "OK" => Ok(()),
            answer => Err(io::Error::other(format!("{packet} is answered by {answer:?}"))),
        }
    }

    /// A register of the selected vCPU.
    pub(crate) fn register(&mut self, number: usize) -> io::Result<u64> {
        let text = self.ask(&format!("p{number:x}"))?;
        number_of(&text)
    }

    /// Changes a register of eight bytes.
    pub(crate) fn set_register(&mut self, number: usize, value: u64) -> io::Result<()> {
        self.order(&format!("P{number:x}={}", hex(value)))
    }

    /// Reads eight bytes of memory.
    pub(crate) fn memory(&mut self, address: u64) -> io::Result<u64> {
        let text = self.ask(&format!("m{address:x},8"))?;
        number_of(&text)
    }

    /// Writes eight bytes of memory.
    pub(crate) fn set_memory(&mut self, address: u64, value: u64) -> io::Result<()> {
        self.order(&format!("M{address:x},8:{}", hex(value)))
    }

    /// Runs all vCPUs until one stops. Returns the stop reply.
    pub(crate) fn run(&mut self) -> io::Result<String> {
        self.ask("vCont;c")
    }

    /// Makes the first vCPU take a step, while the others run.
    pub(crate) fn step(&mut self) -> io::Result<String> {
        self.ask("vCont;s:1;c")
    }
}

/// The bytes of a number in hexadecimal, lowest byte first.
fn hex(value: u64) -> String {
    value.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number whose bytes are given in hexadecimal, lowest byte first.
fn number_of(text: &str) -> io::Result<u64> {
    let digits = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..16).step_by(2).map(digits).collect();
    let bytes: Option<[u8; 8]> = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| io::Error::other(format!("{text:?} is no number")))
}
