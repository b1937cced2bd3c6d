//! Inspects a machine: QMP's and `human-monitor-command`'s answers about a guest, for example one that hangs.
//!
//! ```text
//! Machine --its vCPUs are stopped--> Halted --> registers, interrupt controllers: JSON, or text in QEMU's layout
//!                                           --> memory: a range in a file, or an ELF core
//!                                           --> NMIs
//! ```
//!
//! Only NMIs change the machine.

mod address_space;
mod code;
mod dump;
mod error;
mod file;
mod halted;
mod hex;
mod info_block;
mod info_lapic;
mod info_network;
mod info_pci;
mod info_pic;
mod info_registers;
mod irqchips;
mod lapic;
mod monitor;
mod msrs;
mod nested;
mod nmi;
mod ram;
mod registers;
mod save;
#[cfg(test)]
mod test_machine;

pub(crate) use self::{
    address_space::AddressSpace,
    code::{code_at, instruction_address},
    dump::Dump,
    error::InspectError,
    halted::Halted,
    info_block::InfoBlock,
    info_network::InfoNetwork,
    info_pci::InfoPci,
    monitor::{MonitorCommand, info_lapic, info_pic, info_registers, info_status},
    nmi::{inject, inject_one},
    save::{SavePhysical, SaveVirtual},
};
