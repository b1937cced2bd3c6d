//! `--serial`: COM1.

use std::io::{self, Write};

use anyhow::Context;
use arch::{acpi::HardwareId, layout};
use devices::{output::Output, platform::Serial};

use super::{AcpiName, Board, Device, IsaSpec, Opening};
use crate::{config::SerialConfig, console, link::Attachment};

/// COM1, with what it writes to.
#[derive(Debug)]
pub(super) struct SerialPort {
    backend: String,
    output: Option<Output>,
}

impl SerialPort {
    /// Opens what `config` names, which is emptied.
    ///
    /// # Errors
    ///
    /// It is something else already, or can't be made.
    pub(super) fn open(config: &SerialConfig, opening: &mut Opening<'_>) -> anyhow::Result<Self> {
        let backend = match config {
            SerialConfig::Stdio => "stdio".to_owned(),
            SerialConfig::Null => "null".to_owned(),
            SerialConfig::File(path) => path.to_string_lossy().into_owned(),
        };
        let Some(link) = opening.link else { return Ok(Self { backend, output: None }) };
        if let SerialConfig::File(path) = config {
            opening.taken.check("--serial file", path)?;
            opening.taken.add("--serial", path);
        }
        let output = console::open_port(config, link).with_context(|| format!("--serial {config}"))?;
        Ok(Self { backend, output })
    }
}

impl Device for SerialPort {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let spec = IsaSpec {
            name: "COM1",
            ports: (layout::COM1, Serial::LEN),
            gsi: Some(layout::COM1_GSI),
            acpi: Some(AcpiName { name: *b"COM1", hid: HardwareId::Eisa("PNP0501"), uid: 0 }),
            backend: Some(self.backend.clone()),
        };
        let sink: Box<dyn Write + Send> = match &self.output {
            Some(output) => Box::new(output.clone()),
            None => Box::new(io::sink()),
        };
        let serial = board.isa(spec, |line| Serial::new(line, sink))?;
        board.attach(Attachment::new(0, serial));
        Ok(())
    }
}
