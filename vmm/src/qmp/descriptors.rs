//! File descriptors that a client passes with its commands, for QEMU's `getfd`.

use std::{
    collections::BTreeMap,
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::questions::Refusal;

/// The most descriptors that a client can store.
const MOST: usize = 8;

/// A client's descriptors.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    /// The last one received, which the next `getfd` names.
    came: Option<OwnedFd>,
    named: BTreeMap<String, OwnedFd>,
}

impl Descriptors {
    /// Reads from a client. Of several descriptors received together, the last is kept.
    ///
    /// # Errors
    ///
    /// An error of the socket.
    pub(super) fn receive(&mut self, socket: impl AsFd, bytes: &mut [u8]) -> rustix::io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.came = descriptors.last();
            }
        }
        Ok(received.bytes)
    }

    /// Stores the descriptor received last under a name, replacing any other of that name.
    pub(super) fn keep(&mut self, name: String) -> Result<Value, Refusal> {
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(Refusal("Parameter 'fdname' expects a name not starting with a digit".to_owned()));
        }
        if self.named.len() >= MOST && !self.named.contains_key(&name) {
            return Err(Refusal(format!("there are {MOST} descriptors already; close one with closefd")));
        }
        let came = self.came.take();
        let came = came.ok_or_else(|| Refusal("No file descriptor supplied via SCM_RIGHTS".to_owned()))?;
        self.named.insert(name, came);
        Ok(json!({}))
    }

    /// Closes a descriptor by its name.
    pub(super) fn close(&mut self, name: &str) -> Result<Value, Refusal> {
        self.take(name).map(|_closed| json!({}))
    }

    /// Takes a descriptor by its name.
    pub(super) fn take(&mut self, name: &str) -> Result<OwnedFd, Refusal> {
        let taken = self.named.remove(name);
        taken.ok_or_else(|| Refusal(format!("File descriptor named '{name}' not found")))
    }
}

#[cfg(test)]
#[path = "descriptors_test.rs"]
mod tests;
