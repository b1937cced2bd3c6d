//! Identities that no other machine has: UUIDs, addresses, generation IDs.

use rustix::rand::{GetRandomFlags, getrandom};
use uuid::{Builder, Uuid};

/// Returns a random UUID, version 4, without waiting for the host's kernel to gather entropy.
///
/// A level 1 whose CPU has no `rdrand`, as old models, may gather it only after many minutes. A UUID is unique without it, and no secret.
pub(crate) fn new_uuid() -> Uuid {
    let mut bytes = [0; 16];
    // Linux before 5.6 has no INSECURE. NONBLOCK fails there until there is entropy, and only then is it waited for.
    let read = |flags| getrandom(&mut bytes, flags).is_ok_and(|len| len == 16);
    if [GetRandomFlags::INSECURE, GetRandomFlags::NONBLOCK].into_iter().any(read) {
        return Builder::from_random_bytes(bytes).into_uuid();
    }
    Uuid::new_v4()
}

#[cfg(test)]
#[path = "identity_test.rs"]
mod tests;
