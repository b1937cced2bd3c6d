//! `--serial`: COM1 to COM4.

use std::io::{self, Write};

use anyhow::{Context, Result};
use arch::{acpi::HardwareId, layout};
use devices::{output::Output, platform::Serial};

use super::{AcpiName, Board, IsaSpec, OpenDevice, Opening, backends};
use crate::{
    attached::Attachment,
    config::SerialConfig,
    expect::{self, Tap},
};

/// A PC's serial ports: name, first port and interrupt line.
const PORTS: [(&str, [u8; 4], u16, u32); layout::SERIAL_PORTS] = [
    ("COM1", *b"COM1", layout::COM1, layout::COM1_GSI),
    ("COM2", *b"COM2", layout::COM2, layout::COM2_GSI),
    ("COM3", *b"COM3", layout::COM3, layout::COM1_GSI),
    ("COM4", *b"COM4", layout::COM4, layout::COM2_GSI),
];

/// A serial port with its output.
#[derive(Debug)]
pub(super) struct SerialPort {
    /// The port's number; 0 is COM1.
    number: usize,
    place: String,
    output: Option<Output>,
    /// Reads its output for `--expect`.
    tap: Option<Tap>,
}

impl SerialPort {
    /// Opens port `number`, and has the main thread serve it.
    ///
    /// # Errors
    ///
    /// A file is of the wrong kind, a socket is in use, or the host refuses.
    pub(super) fn open(number: usize, config: &SerialConfig, opening: &mut Opening<'_>) -> Result<Self> {
        let (name, ..) = PORTS[number];
        let output = match opening.link {
            Some(link) => backends::connect(number, name, config, link, &mut opening.taken)?,
            None => None,
        };
        let tap = match (number, opening.script, opening.link) {
            (0, Some(script), Some(link)) => {
                let (tap, source) = expect::start(script).context("--expect")?;
                link.serve(source);
                Some(tap)
            }
            _ => None,
        };
        Ok(Self { number, place: config.to_string(), output, tap })
    }
}

impl OpenDevice for SerialPort {
    fn plug(&self, board: &mut Board) -> Result<()> {
        let (name, acpi_name, port, gsi) = PORTS[self.number];
        let uid = u8::try_from(self.number)?;
        let spec = IsaSpec {
            name,
            ports: (port, Serial::LEN),
            gsi: Some(gsi),
            acpi: Some(AcpiName { name: acpi_name, hid: HardwareId::Eisa("PNP0501"), uid }),
            backend: Some(self.place.clone()),
        };
        let sink: Box<dyn Write + Send> = match &self.output {
            Some(output) => Box::new(output.clone()),
            None => Box::new(io::sink()),
        };
        let sink = match &self.tap {
            Some(tap) => tap.on(sink),
            None => sink,
        };
        let serial = board.isa(spec, |line| Serial::new(line, sink))?;
        board.attach(Attachment::new(self.number, serial));
        Ok(())
    }
}
