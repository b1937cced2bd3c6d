//! `info network`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use devices::printable::ToPrintable;

use crate::networks::NetworkFacts;

/// Network devices, shown like QEMU's monitor does: the card, and its peer on the host, once for each queue pair.
#[derive(Debug)]
pub(crate) struct InfoNetwork<'a>(pub(crate) &'a [NetworkFacts]);

impl Display for InfoNetwork<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for NetworkFacts { name, place, mac, queues, .. } in self.0 {
            let (name, place) = (name.printable(), place.printable());
            for index in 0..*queues {
                writeln!(f, "{name}: index={index},type=nic,model=virtio-net-pci,macaddr={mac}")?;
                writeln!(f, " \\ {name}: index={index},{place}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "info_network_test.rs"]
mod tests;
