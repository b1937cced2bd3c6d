//! Fuzzes command lists.

use std::sync::Arc;

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{
    cdrom::{Medium, Tray},
    drive::Drive,
    interrupts::Interrupts,
    registers::{PortCommand, PortInterrupts},
    shared::Shared,
    work::Work,
};
use crate::{
    block::{BlockOptions, Lasting},
    disk::format::Format,
    irq::nobody::Nobody,
    virtio::block::fuzzing::memory_disk,
    worker::Stop,
};

const MEMORY: usize = 0x1_0000;
/// The address for received frames, unless the first byte of the input says that they can't be received.
const RECEIVED: u64 = 0xf000;

const CDROM: u8 = 1 << 2;
const QUEUED: u8 = 1 << 3;
const NOWHERE: u8 = 1 << 4;

/// Issues all commands of a port at once. The first byte chooses the kind of drive; the rest is memory from the command list on.
pub fn ahci_commands(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), MEMORY)]).expect("there is memory");
    memory.write_slice(&data[..data.len().min(MEMORY)], GuestAddress(0)).expect("it is memory");
    let (disk, lasting) = (memory_disk(setup), Lasting::from(BlockOptions::default()));
    let drive = if setup & CDROM == 0 {
        Drive::disk(disk, &lasting)
    } else {
        let medium = Medium { disk, format: Format::Raw };
        Drive::cdrom(Arc::new(Tray::new("cdrom".to_owned(), Some(medium), lasting)))
    };
    let interrupts = Arc::new(Interrupts::new(Arc::new(Nobody), Arc::new(Nobody)));
    let shared = Arc::new(Shared::new(0, memory, interrupts).expect("there is an eventfd"));
    {
        let mut state = shared.state();
        state.command = PortCommand::START | PortCommand::FIS_RECEIVE_ENABLE;
        state.received_fis = if setup & NOWHERE == 0 { RECEIVED } else { u64::MAX };
        state.command_issue = u32::MAX;
        state.sata_active = if setup & QUEUED == 0 { 0 } else { u32::MAX };
    }
    Work::new(Arc::clone(&shared), Arc::new(drive), Stop::default()).run_once();
    let state = shared.state();
    let failed = PortInterrupts::TASK_FILE_ERROR | PortInterrupts::HOST_BUS_FATAL;
    if state.halted {
        assert!(state.causes().intersects(failed), "the driver is not told that the port has halted");
    } else {
        assert_eq!(state.command_issue, 0, "a command is left over");
    }
}
