//! MAC addresses.

use std::{fmt, str::FromStr};

/// A MAC address: IEEE 802, "EUI-48".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

/// Reasons why a text is no MAC address of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacAddressError {
    /// The text is not six pairs of hexadecimal digits.
    #[error("give six pairs of hexadecimal digits, such as 52:54:00:12:34:56")]
    Form,
    /// The address is a multicast address, which belongs to several devices.
    #[error("it is a multicast address: its first byte must be even")]
    Multicast,
    /// The address is all zeros.
    #[error("it must not be all zeros")]
    Zero,
}

impl MacAddress {
    /// The address of all devices.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Returns whether it is a multicast address.
    #[must_use]
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// An address for a device that has none: locally administered, with 46 bits of `seed`. The same seed gives the same address.
    #[must_use]
    pub fn local(seed: u64) -> Self {
        let [.., a, b, c, d, e, f] = seed.to_be_bytes();
        Self([a & !0b01 | 0b10, b, c, d, e, f])
    }
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    /// Parses six pairs of hexadecimal digits with `:` or `-` between them, if they are the address of one device.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part =
                parts.next().filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or(MacAddressError::Form)?;
        }
        let address = Self(bytes);
        match address {
            _ if parts.next().is_some() => Err(MacAddressError::Form),
            Self([0, 0, 0, 0, 0, 0]) => Err(MacAddressError::Zero),
            _ if address.is_multicast() => Err(MacAddressError::Multicast),
            _ => Ok(address),
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
#[path = "mac_test.rs"]
mod tests;
