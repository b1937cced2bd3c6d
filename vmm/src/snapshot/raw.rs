//! KVM's structures as bytes in JSON, in hexadecimal.

use devices::state::hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A structure of KVM. Its bytes have the layout of the kernel's interface, which never changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw<T>(pub(super) T);

impl<T: IntoBytes + Immutable> Serialize for Raw<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(&self.0.as_bytes(), serializer)
    }
}

impl<'de, T: FromBytes> Deserialize<'de> for Raw<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = hex::deserialize(deserializer)?;
        match T::read_from_bytes(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(D::Error::custom(format!("it has {} bytes, not {}", bytes.len(), size_of::<T>()))),
        }
    }
}

/// Bytes of variable length.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Bytes(#[serde(with = "hex")] pub(super) Vec<u8>);

#[cfg(test)]
#[path = "raw_test.rs"]
mod tests;
