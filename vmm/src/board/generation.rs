//! The VM generation ID's number.

use devices::platform::GenerationId;
use uuid::Uuid;

/// A generation ID that no other machine has.
pub(super) fn new_generation() -> GenerationId {
    Uuid::new_v4().into_bytes()
}
