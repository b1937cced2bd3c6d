//! An AHCI controller: AHCI 1.3.1, with SATA disks and CD-ROM drives (Serial ATA 3.0, ATA8-ACS, MMC-6).
//!
//! ```text
//! BAR 5 ──▶ Ahci ──▶ Port: registers ──▶ Work: a thread for each port that is started
//!             │          └── Shared ──────┘ │
//!        Interrupts ◀──────────┘            └──▶ Drive: disk or CD-ROM ──▶ Disk, by block's Executor and Ring
//! ```
//!
//! The function identifies itself as Intel's ICH9, for which OSes have had drivers since 2006.

mod cdrom;
mod disk;
mod drive;
mod fis;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod identity;
mod interrupts;
mod port;
mod registers;
mod shared;
mod state;
mod step;
mod table;
#[cfg(test)]
mod test_driver;
mod work;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arch::{layout, memory::GuestRam};

pub use self::{
    cdrom::{Medium, Tray, TrayError},
    drive::Drive,
    port::Port,
};
use self::{
    interrupts::Interrupts,
    registers::{Capabilities, GlobalControl, PORT_LEN, PORTS, SLOTS, VERSION, generic},
};
use crate::{
    bus::Effect,
    irq::{Line, Msi},
    pci::{Bar, BarError, BarSpace, ClassCode, ConfigSpace, Identity, MsiRegisters, PciAddress, PciFunction},
};

/// The BAR with the HBA's registers, which AHCI prescribes, and its length.
const BAR: u8 = 5;
const BAR_LEN: u64 = 0x1000;

/// Intel's ICH9 in AHCI mode: mass storage, SATA, AHCI 1.0.
const IDENTITY: Identity = Identity {
    name: "ahci",
    vendor_id: 0x8086,
    device_id: 0x2922,
    revision_id: 0x02,
    class: ClassCode { base: 0x01, sub: 0x06, interface: 0x01 },
    subsystem_vendor_id: 0x1af4,
    subsystem_id: 0x1100,
};

/// The number of the last port.
const LAST_PORT: u8 = 5;

/// An error that keeps a controller from being made.
#[derive(Debug, thiserror::Error)]
pub enum AhciError {
    /// The function can't have its BAR.
    #[error("an ahci controller")]
    Bar(#[from] BarError),
    /// The host has no eventfd left for a port.
    #[error("can't make an eventfd")]
    EventFd(#[source] io::Error),
}

/// The controller as a PCI function.
#[derive(Debug)]
pub struct Ahci {
    config: ConfigSpace,
    msi: MsiRegisters,
    interrupts: Arc<Interrupts>,
    ports: Vec<Arc<Mutex<Port>>>,
    interrupt_enable: bool,
    /// The HBA is being reset, and waits for its ports to stop.
    resetting: bool,
}

impl Ahci {
    /// The number of ports.
    pub const PORTS: usize = LAST_PORT as usize + 1;

    /// Makes a controller with these drives, at most [`Ahci::PORTS`], as the function at `address`, whose BAR is still to be placed. It
    /// interrupts by `line`, which is its own input to the GSI of the function's INTx pin, until the driver enables `msi`.
    ///
    /// # Errors
    ///
    /// An eventfd can't be made.
    pub fn new(
        address: PciAddress,
        drives: Vec<Drive>,
        memory: &GuestRam,
        line: Arc<dyn Line>,
        msi: Arc<dyn Msi>,
    ) -> Result<Self, AhciError> {
        let mut config = ConfigSpace::new(IDENTITY);
        config.add_bar(Bar::new(BAR, BarSpace::Memory32, BAR_LEN)?)?;
        let pin = layout::pci_intx_pin(address.function());
        let gsi = layout::pci_intx_gsi(address.device(), pin);
        config.set_interrupt(pin + 1, u8::try_from(gsi).unwrap_or(u8::MAX));
        let msi_registers = MsiRegisters::new(&mut config, Arc::clone(&msi));
        let interrupts = Arc::new(Interrupts::new(line, msi));
        let drives = drives.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let ports = (0_u8..).zip(drives).take(Self::PORTS).map(|(number, drive)| {
            let port = Port::new(number, drive, memory.clone(), Arc::clone(&interrupts))?;
            Ok(Arc::new(Mutex::new(port)))
        });
        let ports = ports.collect::<io::Result<_>>().map_err(AhciError::EventFd)?;
        let (interrupt_enable, resetting) = (false, false);
        Ok(Self { config, msi: msi_registers, interrupts, ports, interrupt_enable, resetting })
    }

    /// The ports. The first ones have the drives.
    #[must_use]
    pub fn ports(&self) -> &[Arc<Mutex<Port>>] {
        &self.ports
    }

    /// Reads the double word at `offset`, a multiple of 4.
    fn read(&mut self, offset: u64) -> u32 {
        self.go_on_resetting();
        if let Some((port, register)) = self.port_at(offset) {
            return lock(port).read(register);
        }
        let implemented = (1_u32 << Self::PORTS) - 1;
        match offset {
            generic::CAP => Capabilities::new()
                .with_ports_minus_one(LAST_PORT)
                .with_command_slots_minus_one(SLOTS - 1)
                .with_ahci_only(true)
                .with_interface_speed(3)
                .with_command_list_override(true)
                .with_native_command_queuing(true)
                .with_addresses_64(true)
                .into(),
            generic::GHC => {
                let mut control = GlobalControl::AHCI_ENABLE;
                control.set(GlobalControl::INTERRUPT_ENABLE, self.interrupt_enable);
                control.set(GlobalControl::HBA_RESET, self.resetting);
                control.bits()
            }
            generic::IS => self.interrupts.status(),
            generic::PI => implemented,
            generic::VS => VERSION,
            _ => 0,
        }
    }

    /// Writes the double word at `offset`, a multiple of 4.
    fn write(&mut self, offset: u64, value: u32) {
        self.go_on_resetting();
        if self.resetting {
            return;
        }
        if let Some((port, register)) = self.port_at(offset) {
            return lock(port).write(register, value);
        }
        match offset {
            generic::GHC => {
                let control = GlobalControl::from_bits_retain(value);
                self.interrupt_enable = control.contains(GlobalControl::INTERRUPT_ENABLE);
                self.interrupts.enable(self.interrupt_enable);
                if control.contains(GlobalControl::HBA_RESET) {
                    self.interrupt_enable = false;
                    self.interrupts.reset();
                    self.ports.iter().for_each(|port| lock(port).begin_reset());
                    self.resetting = true;
                    self.go_on_resetting();
                }
            }
            generic::IS => self.interrupts.clear(value),
            _ => {}
        }
    }

    /// Finishes the reset of the HBA once all ports have stopped.
    fn go_on_resetting(&mut self) {
        if self.resetting && self.ports.iter().all(|port| lock(port).has_stopped()) {
            self.ports.iter().for_each(|port| lock(port).end_reset());
            self.interrupts.reset();
            self.resetting = false;
        }
    }

    /// The port that a register at `offset` belongs to, and the register's offset in the port.
    fn port_at(&self, offset: u64) -> Option<(&Mutex<Port>, u64)> {
        let offset = offset.checked_sub(PORTS)?;
        let port = self.ports.get(usize::try_from(offset / PORT_LEN).ok()?)?;
        Some((port, offset % PORT_LEN))
    }
}

impl PciFunction for Ahci {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config.set_interrupt_status(self.interrupts.intx_pending());
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Effect {
        let effect = self.config.write(offset, data);
        let by_msi = self.msi.follow(&self.config);
        self.interrupts.follow(by_msi, self.config.command().interrupt_disable());
        effect
    }

    fn bar_read(&mut self, _bar: u8, offset: u64, data: &mut [u8]) {
        // Read each register once, even if only a part of it is asked for.
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let register = self.read(at & !3).to_le_bytes();
            let bytes = &register[usize::try_from(at & 3).unwrap_or(0)..];
            let part = bytes.len().min(rest.len());
            let (now, later) = rest.split_at_mut(part);
            now.copy_from_slice(&bytes[..part]);
            (at, rest) = (at.saturating_add(part as u64), later);
        }
    }

    /// Accepts only whole registers: one double word, or two at a time. AHCI 1.3.1, "Register access", has software do so.
    fn bar_write(&mut self, _bar: u8, offset: u64, data: &[u8]) -> Effect {
        if offset.is_multiple_of(4)
            && let (words, []) = data.as_chunks::<4>()
        {
            for (at, word) in (offset..).step_by(4).zip(words) {
                self.write(at, u32::from_le_bytes(*word));
            }
        }
        Effect::None
    }
}

fn lock(port: &Mutex<Port>) -> MutexGuard<'_, Port> {
    port.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "ahci_test.rs"]
mod tests;
