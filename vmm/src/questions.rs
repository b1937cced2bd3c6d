//! Questions to a machine, and the way of the answer back to the source that asks.
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

/// A question to a machine that is there; one that is being built answers once it is. It may be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// KVM's counters, of the machine and of each vCPU.
    Stats,
    /// Registers, local APIC, IOAPIC and PICs, of one vCPU or of all.
    Registers(Option<u32>),
    /// An NMI, to one vCPU or to all that listen.
    Nmi(Option<u32>),
    /// Linear memory in a file.
    SaveVirtual(SaveVirtual),
    /// Physical memory in a file.
    SavePhysical(SavePhysical),
    /// A core.
    Dump(Dump),
    /// The whole machine in a directory.
    SaveSnapshot(SaveSnapshot),
    /// Move the machine to another nvmm: the answer comes at once.
    Migrate(Migrate),
    /// Give up moving it.
    CancelMigration,
    /// The progress of moving it: QMP's `MigrationInfo`.
    Migration,
    /// A command line of QEMU's monitor.
    Monitor {
        /// The line.
        line: String,
        /// The vCPU that it is about, if it names none.
        vcpu: u32,
    },
    /// The disks: QMP's list of `BlockInfo`.
    Blocks,
    /// The disks' work: QMP's list of `BlockStats`.
    BlockStats,
    /// The network devices, and their work.
    Networks,
    /// The frames that the driver of the network device of this name wants, or of each: QMP's list of `RxFilterInfo`.
    RxFilter(Option<String>),
    /// Take a network device's link up or down.
    SetLink {
        /// The device's name.
        name: String,
        /// The link is to be up.
        up: bool,
    },
    /// Have the guest announce itself by network devices of these names, or by all.
    Announce(Option<Vec<String>>),
    /// Take the medium out of a drive.
    Eject {
        /// The drive's name.
        drive: String,
        /// Though the guest holds it.
        force: bool,
    },
    /// Put a medium into a drive.
    ChangeMedium {
        /// The drive's name.
        drive: String,
        /// The image.
        path: PathBuf,
        /// Its format; without, it is found out.
        format: Option<Format>,
        /// Though the guest holds the one that is in it.
        force: bool,
    },
    /// The screen's picture in a file.
    Screendump(Screendump),
    /// Press keys.
    SendKey(SendKey),
    /// Press keys and buttons, and move the pointer.
    SendInput(InputEvents),
    /// The place where viewers connect, and who does: QMP's `VncInfo`.
    Viewers,
    /// Make a disk larger.
    Resize {
        /// The disk's name.
        disk: String,
        /// The size in bytes that it is to have.
        size: u64,
    },
}

/// The answer, in QMP's form.
pub(crate) type Answer = Result<Value, Refusal>;

/// The reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// The way back to a source that asks.
#[derive(Debug)]
pub(crate) struct Asker {
    sender: Sender<(u64, Answer)>,
    answers: Receiver<(u64, Answer)>,
    wake: Arc<EventFd>,
}

/// The way back of one answer. One that is dropped refuses.
#[derive(Debug)]
pub(crate) struct Reply {
    number: u64,
    to: Option<Sender<(u64, Answer)>>,
    wake: Arc<EventFd>,
}

impl Asker {
    /// A way back without anything on it.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, answers) = mpsc::channel();
        Ok(Self { sender, answers, wake: Arc::new(EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?) })
    }

    /// The way back of the answer that is to come with this number.
    pub(crate) fn reply(&self, number: u64) -> Reply {
        Reply { number, to: Some(self.sender.clone()), wake: Arc::clone(&self.wake) }
    }

    /// Takes the answers that have come, each with its number.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (u64, Answer)> {
        // Makes it unreadable before they are looked at.
        let _ = self.wake.read();
        self.answers.try_iter()
    }
}

/// Readable when an answer has come.
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
            // The one who asked may be gone.
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
