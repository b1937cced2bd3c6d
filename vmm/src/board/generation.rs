//! The VM generation ID's number.

use devices::platform::GenerationId;

use crate::identity::new_uuid;

/// A generation ID that no other machine has.
pub(super) fn new_generation() -> GenerationId {
    new_uuid().into_bytes()
}
