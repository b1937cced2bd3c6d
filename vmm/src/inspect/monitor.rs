//! The commands of QEMU's monitor that `human-monitor-command` supports.

use super::{
    error::InspectError, halted::Halted, info_lapic::InfoLapic, info_pic::InfoPic,
    info_registers::InfoRegisters, irqchips::IrqChips, lapic::LocalApic,
};
use crate::{qcode::KeyValue, send_key::SendKey};

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MonitorCommand {
    /// `info block`.
    Block,
    /// `info lapic`, for the vCPU with this APIC id, or for the one in the request.
    Lapic {
        /// The APIC id, if it is given.
        apic_id: Option<u32>,
        /// The request's `cpu-index`.
        vcpu: u32,
    },
    /// `info network`.
    Network,
    /// `info pci`.
    Pci,
    /// `info pic`.
    Pic,
    /// `info registers`, for this vCPU or for all.
    Registers(Option<u32>),
    /// `sendkey`.
    SendKey(SendKey),
    /// `info status`.
    Status,
    /// `info vnc`.
    Vnc,
}

/// The list of commands for the answer to an unknown one.
const COMMANDS: &str = "info block, info lapic [APIC-ID], info network, info pci, info pic, info registers [-a|CPU], info status, info vnc, sendkey KEY[-KEY...] [MILLISECONDS]";

impl MonitorCommand {
    /// Parses a command line. `vcpu` is the request's `cpu-index`, or 0.
    ///
    /// # Errors
    ///
    /// The line is no command: the answer, which begins with QEMU's words.
    pub(crate) fn parse(line: &str, vcpu: u32) -> Result<Self, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |word: &str| {
            let read = match word.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => word.parse(),
            };
            read.map_err(|_| format!("invalid number '{}'\n", word.escape_debug()))
        };
        match *words {
            ["info", "block"] => Ok(Self::Block),
            ["info", "lapic"] => Ok(Self::Lapic { apic_id: None, vcpu }),
            ["info", "lapic", id] => Ok(Self::Lapic { apic_id: Some(number(id)?), vcpu }),
            ["info", "network"] => Ok(Self::Network),
            ["info", "pci"] => Ok(Self::Pci),
            ["info", "pic"] => Ok(Self::Pic),
            ["info", "registers"] => Ok(Self::Registers(Some(vcpu))),
            ["info", "registers", "-a"] => Ok(Self::Registers(None)),
            ["info", "registers", cpu] => Ok(Self::Registers(Some(number(cpu)?))),
            ["sendkey", keys] => send_key(keys, None),
            ["sendkey", keys, hold] => send_key(keys, Some(number(hold)?.into())),
            ["info", "status"] => Ok(Self::Status),
            ["info", "vnc"] => Ok(Self::Vnc),
            _ => {
                Err(format!("unknown command: '{}'; there are {COMMANDS}\n", words.join(" ").escape_debug()))
            }
        }
    }
}

/// Makes the command `sendkey`, with the time to hold the keys.
fn send_key(keys: &str, hold: Option<u64>) -> Result<MonitorCommand, String> {
    let keys = SendKey::new(&KeyValue::of_line(keys), hold);
    keys.map(MonitorCommand::SendKey).map_err(|error| format!("{error}\n"))
}

/// `info registers` for a vCPU, or for all.
///
/// # Errors
///
/// There is no such vCPU, or KVM refuses.
pub(crate) fn info_registers(machine: &Halted<'_>, vcpu: Option<u32>) -> Result<String, InspectError> {
    let texts = machine.select(vcpu)?.into_iter().map(|(vcpu, fd)| {
        let registers = machine.registers(vcpu, fd)?;
        Ok(InfoRegisters { vcpu, registers: &registers }.to_string())
    });
    texts.collect()
}

/// `info lapic` for the vCPU with this APIC id, or for `vcpu`.
///
/// # Errors
///
/// There is no such vCPU, or KVM refuses.
pub(crate) fn info_lapic(
    machine: &Halted<'_>,
    apic_id: Option<u32>,
    vcpu: u32,
) -> Result<String, InspectError> {
    let one = if apic_id.is_none() { Some(vcpu) } else { None };
    for (vcpu, fd) in machine.select(one)? {
        let lapic = LocalApic::read(fd).map_err(|source| InspectError::Vcpu(vcpu, source))?;
        if apic_id.is_none_or(|id| lapic.id() == id) {
            return Ok(InfoLapic { vcpu, lapic: &lapic }.to_string());
        }
    }
    Ok(format!("No local APIC (apic-id {})\n", apic_id.unwrap_or_default()))
}

/// `info pic`.
///
/// # Errors
///
/// KVM refuses.
pub(crate) fn info_pic(machine: &Halted<'_>) -> Result<String, InspectError> {
    let chips = IrqChips::read(machine.vm).map_err(InspectError::Vm)?;
    Ok(InfoPic(&chips).to_string())
}

/// `info status` of a machine, given QMP's name of its run state.
pub(crate) fn info_status(state: &str) -> String {
    match state {
        "running" | "paused" => format!("VM status: {state}\n"),
        _ => format!("VM status: paused ({state})\n"),
    }
}

#[cfg(test)]
#[path = "monitor_test.rs"]
mod tests;
