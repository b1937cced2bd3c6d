//! QEMU's standard VGA: QEMU, `docs/specs/standard-vga.rst`.
//!
//! ```text
//! ports 3B0H-3DFH, 1CEH ─┐
//! BAR 2 ─────────────────┴▶ Adapter ──Mode──┐
//! BAR 0: video memory, with a dirty log ────┼──▶ Monitor ──▶ Picture
//! A0000H-BFFFFH: characters and fonts (RAM) ┘
//! ```
//!
//! Guest RAM covers A0000H to BFFFFH, as in every machine of nvmm's. A VGA has its planes there, and would keep a font in the third. Here
//! the font stays at A0000H, where it was written, and text is at B8000H. The linear modes have memory of their own, and the planar ones
//! are not drawn.

mod adapter;
mod dac;
mod dispi;
mod edid;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod linear;
mod mode;
mod monitor;
mod registers;
mod resolution;
mod state;
mod text;

use std::{
    io,
    sync::{Arc, Mutex},
};

use arch::{layout, memory::GuestRam};

use self::{
    adapter::{Adapter, lock, write_dispi},
    dispi::Dispi,
    edid::edid,
    monitor::{Plug, Source},
};
pub use self::{
    adapter::{DispiPorts, VgaPorts},
    monitor::Monitor,
    resolution::Resolution,
};
use crate::{
    bus::{BusDevice, Effect},
    pci::{Bar, BarMemory, BarSpace, ClassCode, ConfigSpace, DirtyLog, Identity, PciFunction},
    registers::read,
};

/// The PCI identity of QEMU's VGA.
const IDENTITY: Identity = Identity {
    name: "VGA",
    vendor_id: 0x1234,
    device_id: 0x1111,
    revision_id: 2,
    class: ClassCode { base: 0x03, sub: 0, interface: 0 },
    subsystem_vendor_id: 0x1af4,
    subsystem_id: 0x1100,
};

/// The BARs of video memory and of the registers.
const VIDEO: u8 = 0;
const REGISTERS: u8 = 2;
const REGISTERS_LEN: u64 = 0x1000;

// Offsets in the registers' BAR. The EDID is at 0.
const PORTS: u64 = 0x400;
const PORTS_END: u64 = PORTS + VgaPorts::LEN;
const DISPI: u64 = 0x500;
const DISPI_END: u64 = DISPI + 2 * Dispi::COUNT as u64;
const EXTENSION: u64 = 0x600;

/// The bytes of the last block: its length, and that pixels are little-endian, which can't be changed.
const EXTENDED: [u8; 8] = [8, 0, 0, 0, 0x1e, 0x1e, 0x1e, 0x1e];

/// The adapter as a PCI function.
#[derive(Debug)]
pub struct Vga {
    config: ConfigSpace,
    video: Arc<BarMemory>,
    adapter: Arc<Mutex<Adapter>>,
    edid: [u8; 128],
    /// Unplugs the monitor when the machine ends.
    _plug: Plug,
}

impl Vga {
    /// Bytes of video memory.
    pub const MEMORY: u64 = resolution::MEMORY;

    /// Makes an adapter in a machine with this RAM, for a monitor that prefers `resolution`. `log` records the guest's writes to video
    /// memory.
    ///
    /// # Errors
    ///
    /// The host has no memory left for the video memory.
    pub fn new(
        monitor: &Arc<Monitor>,
        memory: GuestRam,
        log: Arc<dyn DirtyLog>,
        resolution: Resolution,
    ) -> io::Result<Self> {
        let mut config = ConfigSpace::new(IDENTITY);
        config.add_fixed_ports();
        let bar = |index, size| Bar::new(index, BarSpace::Memory32, size).map_err(io::Error::other);
        let bars = [bar(VIDEO, Self::MEMORY)?.prefetchable(), bar(REGISTERS, REGISTERS_LEN)?];
        bars.into_iter().try_for_each(|bar| config.add_bar(bar)).map_err(io::Error::other)?;
        let video = Arc::new(BarMemory::with_dirty_log(&bars[0])?);
        let adapter = Arc::new(Mutex::new(Adapter::new(Arc::clone(&video))));
        let source = Source::new(Arc::clone(&adapter), Arc::clone(&video), memory, log);
        let plug = Monitor::plug(monitor, source);
        Ok(Self { config, video, adapter, edid: edid(resolution), _plug: plug })
    }

    /// Sets a linear mode of 32 bits a pixel, for software that expects one at its start. Returns the bytes from one row to the next.
    pub fn set_mode(&self, Resolution { width, height }: Resolution) -> u32 {
        lock(&self.adapter).set_mode(width, height);
        u32::from(width) * 4
    }

    /// The guest-physical address of video memory, if it has been placed.
    #[must_use]
    pub fn video_memory(&self) -> Option<u64> {
        self.config.decoded().find(|decoded| decoded.bar.index() == VIDEO).map(|decoded| decoded.base)
    }

    /// The adapter's ports from `first` on, which is 3B0H or 3C0H.
    #[must_use]
    pub fn ports(&self, first: u16) -> VgaPorts {
        VgaPorts { first, adapter: Arc::clone(&self.adapter) }
    }

    /// The dispi interface's ports.
    #[must_use]
    pub fn dispi_ports(&self) -> DispiPorts {
        DispiPorts(Arc::clone(&self.adapter))
    }
}

impl PciFunction for Vga {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn bar_memory(&self, bar: u8) -> Option<&Arc<BarMemory>> {
        (bar == VIDEO).then_some(&self.video)
    }

    fn bar_read(&mut self, _bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match offset {
            PORTS..PORTS_END => self.ports(layout::VGA).read(offset - PORTS, data),
            DISPI..DISPI_END => {
                let adapter = lock(&self.adapter);
                let registers = (0..Dispi::COUNT).flat_map(|index| adapter.dispi.read(index).to_le_bytes());
                read(&registers.collect::<Vec<_>>(), offset - DISPI, data);
            }
            EXTENSION.. => read(&EXTENDED, offset - EXTENSION, data),
            _ => read(&self.edid, offset, data),
        }
    }

    fn bar_write(&mut self, _bar: u8, offset: u64, data: &[u8]) -> Effect {
        match (offset, data) {
            (PORTS..PORTS_END, data) => {
                return self.ports(layout::VGA).write(offset - PORTS, data);
            }
            (DISPI..DISPI_END, &[low, high]) if offset.is_multiple_of(2) => {
                let index = u16::try_from((offset - DISPI) / 2).unwrap_or(u16::MAX);
                write_dispi(&self.adapter, Some(index), u16::from_le_bytes([low, high]));
            }
            _ => {}
        }
        Effect::None
    }
}

#[cfg(test)]
#[path = "vga_test.rs"]
mod tests;
