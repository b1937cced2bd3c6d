//! Questions to a machine, and the return channel of the answer to the source that asks.
//!
//! ```text
//! source: Asker::reply ──Command::Ask(question, Reply)──> machine's thread
//!         Asker::answers <────────Answer, wake-up───────── Reply::give
//! ```

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use devices::disk::format::Format;
use serde_json::Value;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::{
    input_event::InputEvents,
    inspect::{Dump, SavePhysical, SaveVirtual},
    migration::Migrate,
    screendump::Screendump,
    send_key::SendKey,
    snapshot::SaveSnapshot,
};

/// A question to a machine, running or stopped. A machine that is being built answers when it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// KVM's counters, for the machine and each vCPU.
    Stats,
    /// Registers, local APIC, IOAPIC and PICs, of one vCPU or of all.
    Registers(Option<u32>),
    /// Send an NMI, to one vCPU or to all whose local APIC accepts it.
    Nmi(Option<u32>),
    /// Write linear memory to a file.
    SaveVirtual(SaveVirtual),
    /// Write physical memory to a file.
    SavePhysical(SavePhysical),
    /// Write a core file.
    Dump(Dump),
    /// Save the whole machine in a directory.
    SaveSnapshot(SaveSnapshot),
    /// Move the machine to another nvmm. The answer comes at once.
    Migrate(Migrate),
    /// Cancel the migration.
    CancelMigration,
    /// A command line of QEMU's monitor.
    Monitor {
        /// The line.
        line: String,
        /// The vCPU for commands that name none.
        vcpu: u32,
    },
    /// The disks: QMP's list of `BlockInfo`.
    Blocks,
    /// The disks' counters: QMP's list of `BlockStats`.
    BlockStats,
    /// The network devices, and their counters.
    Networks,
    /// The frames that the driver of the network device of this name, or of every one, wants: QMP's list of `RxFilterInfo`.
    RxFilter(Option<String>),
    /// Take a network device's link up or down.
    SetLink {
        /// The device's name.
        name: String,
        /// Up or down.
        up: bool,
    },
    /// Make the guest announce itself by network devices of these names, or by all.
    Announce(Option<Vec<String>>),
    /// Take the medium out of a drive.
    Eject {
        /// The drive's name.
        drive: String,
        /// Even if the guest has locked the drive.
        force: bool,
    },
    /// Put a medium into a drive.
    ChangeMedium {
        /// The drive's name.
        drive: String,
        /// The image.
        path: PathBuf,
        /// The format, or none to detect it.
        format: Option<Format>,
        /// Even if the guest has locked the current medium.
        force: bool,
    },
    /// Write the screen's picture to a file.
    Screendump(Screendump),
    /// Press keys.
    SendKey(SendKey),
    /// Press keys and buttons, and move the pointer.
    SendInput(InputEvents),
    /// The VNC server's address and clients: QMP's `VncInfo`.
    Viewers,
    /// Enlarge a disk.
    Resize {
        /// The disk's name.
        disk: String,
        /// The new size in bytes.
        size: u64,
    },
}

/// The answer, in QMP's form.
pub(crate) type Answer = Result<Value, Refusal>;

/// The reason why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// The return channel of a source that asks.
#[derive(Debug)]
pub(crate) struct Asker {
    sender: Sender<(u64, Answer)>,
    answers: Receiver<(u64, Answer)>,
    wake: Arc<EventFd>,
}

/// The return channel of one answer. Dropping it without an answer refuses.
#[derive(Debug)]
pub(crate) struct Reply {
    number: u64,
    to: Option<Sender<(u64, Answer)>>,
    wake: Arc<EventFd>,
}

impl Asker {
    /// A return channel without any answers.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, answers) = mpsc::channel();
        Ok(Self { sender, answers, wake: Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?) })
    }

    /// The return channel for the answer with this number.
    pub(crate) fn reply(&self, number: u64) -> Reply {
        Reply { number, to: Some(self.sender.clone()), wake: Arc::clone(&self.wake) }
    }

    /// Takes the answers that have arrived, each with its number.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (u64, Answer)> {
        // Clear the event first, so that a later answer makes it readable again.
        let _ = self.wake.read();
        self.answers.try_iter()
    }
}

/// Readable when an answer has arrived.
impl AsRawFd for Asker {
    fn as_raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}

impl Reply {
    /// Answers.
    pub(crate) fn give(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, answer: Answer) {
        if let Some(to) = self.to.take() {
            // The receiver may be gone.
            let _ = to.send((self.number, answer));
            let _ = self.wake.write(1);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.send(Err(Refusal("the machine has ended".to_owned())));
    }
}

#[cfg(test)]
#[path = "questions_test.rs"]
mod tests;
