//! Numbers for the VM generation ID.

use devices::platform::GenerationId;

use crate::identity::new_uuid;

/// Makes a generation ID that no other machine has.
pub(super) fn new_generation() -> GenerationId {
    new_uuid().into_bytes()
}
