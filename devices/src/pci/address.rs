use std::fmt;

/// The address of a function on bus 0: its device (slot) and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    device: u8,
    function: u8,
}

impl PciAddress {
    /// The number of devices on a bus.
    pub const DEVICES: u8 = 32;
    /// The number of functions of a device.
    pub const FUNCTIONS: u8 = 8;
    /// The number of addresses on a bus.
    pub(super) const COUNT: usize = Self::DEVICES as usize * Self::FUNCTIONS as usize;
    /// The host bridge's address.
    pub const HOST_BRIDGE: Self = Self { device: 0, function: 0 };

    /// Returns the address of a function, or `None` if there is no such device or function number.
    #[must_use]
    pub const fn new(device: u8, function: u8) -> Option<Self> {
        if device < Self::DEVICES && function < Self::FUNCTIONS {
            Some(Self { device, function })
        } else {
            None
        }
    }

    /// All addresses except the host bridge's device, in the order in which functions are placed: first function 0 of every device, where
    /// drivers without support for multi-function devices look, then function 1 of every device, and so on.
    pub fn in_order() -> impl Iterator<Item = Self> {
        let devices = |function| (1..Self::DEVICES).map(move |device| Self { device, function });
        (0..Self::FUNCTIONS).flat_map(devices)
    }

    /// All addresses, ascending.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::DEVICES)
            .flat_map(|device| (0..Self::FUNCTIONS).map(move |function| Self { device, function }))
    }

    /// The index in [`PciAddress::all`].
    pub(super) fn index(self) -> usize {
        usize::from(self.device) * usize::from(Self::FUNCTIONS) + usize::from(self.function)
    }

    /// The device number, below 32.
    #[must_use]
    pub const fn device(self) -> u8 {
        self.device
    }

    /// The function number, below 8.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.function
    }

    /// The address of the device's function 0.
    #[must_use]
    pub const fn first_function(self) -> Self {
        Self { function: 0, ..self }
    }
}

/// Writes `BUS:DEVICE.FUNCTION`, as lspci does.
impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00:{:02x}.{}", self.device, self.function)
    }
}

#[cfg(test)]
#[path = "address_test.rs"]
mod tests;
