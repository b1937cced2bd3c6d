mod state;

use std::sync::Arc;

use arch::layout;
use bitfield_struct::bitfield;

use super::{PciAddress, PciRoot};
use crate::bus::{BusDevice, Effect};

/// `CONFIG_DATA`, as an offset from `CONFIG_ADDRESS`.
const CONFIG_DATA: u64 = 4;
/// The reset control register, as an offset from `CONFIG_ADDRESS`.
const RESET_CONTROL: u64 = (layout::RESET_CONTROL - layout::PCI_CONFIG) as u64;

/// PCI 3.0, "Software Generation of Configuration Transactions": `CONFIG_ADDRESS`.
#[bitfield(u32)]
struct ConfigAddress {
    #[bits(2)]
    __: u8,
    /// The register's number, in double words.
    #[bits(6)]
    register: u8,
    #[bits(3)]
    function: u8,
    #[bits(5)]
    device: u8,
    bus: u8,
    #[bits(7)]
    __: u8,
    enable: bool,
}

/// The reset control register of Intel's chipsets, at 0xcf9.
#[bitfield(u8)]
struct ResetControl {
    __: bool,
    /// Selects a hard reset. Here, every reset is one.
    system_reset: bool,
    /// Resets the machine.
    reset_cpu: bool,
    /// Selects a reset with a short loss of power.
    full_reset: bool,
    #[bits(4)]
    __: u8,
}

impl ResetControl {
    /// The bits that can be read back.
    fn kept(self) -> Self {
        Self::new().with_system_reset(self.system_reset()).with_full_reset(self.full_reset())
    }
}

/// `CONFIG_ADDRESS` and `CONFIG_DATA`. The reset control register is in the middle of the former; an access to it is one byte wide.
#[derive(Debug)]
pub struct ConfigPorts {
    root: Arc<PciRoot>,
    address: ConfigAddress,
    reset_control: ResetControl,
}

impl ConfigPorts {
    /// The number of ports.
    pub const LEN: u64 = 8;

    /// The ports with which `root` is configured.
    #[must_use]
    pub fn new(root: Arc<PciRoot>) -> Self {
        Self { root, address: ConfigAddress::new(), reset_control: ResetControl::new() }
    }

    /// The function and the register for an access to `CONFIG_DATA`. It does not leave the double word.
    fn target(&self, offset: u64, len: usize) -> Option<(PciAddress, u16)> {
        let byte = u16::try_from(offset.checked_sub(CONFIG_DATA)?).ok()?;
        let fits = usize::from(byte).checked_add(len)? <= size_of::<ConfigAddress>();
        if !fits || !self.address.enable() || self.address.bus() != 0 {
            return None;
        }
        let function = PciAddress::new(self.address.device(), self.address.function())?;
        Some((function, u16::from(self.address.register()) * 4 + byte))
    }
}

impl BusDevice for ConfigPorts {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data.len()) {
            (0, 4) => data.copy_from_slice(&u32::from(self.address).to_le_bytes()),
            (RESET_CONTROL, 1) => data.fill(self.reset_control.into()),
            (_, len) => match self.target(offset, len) {
                Some((function, register)) => self.root.read(function, register, data),
                None => data.fill(0xff),
            },
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        match (offset, data) {
            (0, &[a, b, c, d]) => self.address = sanitized(u32::from_le_bytes([a, b, c, d])),
            (RESET_CONTROL, &[value]) => {
                let value = ResetControl::from(value);
                self.reset_control = value.kept();
                if value.reset_cpu() {
                    return Effect::Reset;
                }
            }
            _ => {
                if let Some((function, register)) = self.target(offset, data.len()) {
                    return self.root.write(function, register, data);
                }
            }
        }
        Effect::None
    }
}

/// `CONFIG_ADDRESS` with its reserved bits cleared, as they read.
fn sanitized(value: u32) -> ConfigAddress {
    let value = ConfigAddress::from(value);
    ConfigAddress::new()
        .with_register(value.register())
        .with_function(value.function())
        .with_device(value.device())
        .with_bus(value.bus())
        .with_enable(value.enable())
}

/// PCI Express 5.0, "PCI Express Enhanced Configuration Access Mechanism (ECAM)": an offset into bus 0's window.
#[bitfield(u32)]
struct EcamOffset {
    #[bits(12)]
    register: u16,
    #[bits(3)]
    function: u8,
    #[bits(5)]
    device: u8,
    #[bits(12)]
    bus: u16,
}

/// Configuration space in memory.
#[derive(Debug)]
pub struct Ecam(Arc<PciRoot>);

impl Ecam {
    /// The window for configuring `root`, at the address of [`PciRoot::ecam`]: [`layout::ECAM_LEN`] bytes for the bus. Accesses beyond, for
    /// other buses, read all ones.
    #[must_use]
    pub fn new(root: Arc<PciRoot>) -> Self {
        Self(root)
    }
}

impl Ecam {
    /// The function and the register for an access at `offset`.
    fn target(offset: u64) -> Option<(PciAddress, u16)> {
        let at = EcamOffset::from(u32::try_from(offset).ok()?);
        let function = PciAddress::new(at.device(), at.function())?;
        (at.bus() == 0).then_some((function, at.register()))
    }
}

impl BusDevice for Ecam {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match Self::target(offset) {
            Some((function, register)) => self.0.read(function, register, data),
            None => data.fill(0xff),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let target = Self::target(offset);
        target.map_or(Effect::None, |(function, register)| self.0.write(function, register, data))
    }
}

#[cfg(test)]
#[path = "front_test.rs"]
mod tests;
