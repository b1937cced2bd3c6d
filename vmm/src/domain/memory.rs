//! `<memory>`, `<memoryBacking>`, `<vcpu>`, `<name>` and `<uuid>`.

use super::{
    part::{
        Part,
        Rule::{Idle, Missing},
        Rules,
    },
    reader::{Memory, Reader},
};

const MIB: u64 = 1 << 20;
/// The size of nvmm's huge pages.
const HUGE_PAGE: u64 = 2 * MIB;

const BACKING: &Rules = &[
    ("nosharepages", Idle("nvmm has the host merge no pages")),
    ("locked", Missing("nvmm locks no memory; prefault=on of --memory has all of it there from the start")),
    ("source", Idle("nvmm chooses where guest memory comes from")),
    ("access", Idle("nvmm shares guest memory where a device needs that")),
    ("discard", Idle("nvmm's guest memory is gone when it ends")),
];

const PAGES: &Rules = &[("@nodeset", Idle("nvmm's guests have one NUMA node"))];

/// `<name>`.
pub(super) fn name<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let name = element.text().replace(',', ",,");
    reader.emit(element, "name", name);
}

/// `<uuid>`.
pub(super) fn uuid<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let uuid = element.text();
    reader.emit(element, "uuid", uuid);
}

/// `<memory>`.
pub(super) fn memory<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    element.rest(&[&[("@dumpCore", Idle("dump-guest-memory on the control socket writes a core"))]]);
    reader.memory.bytes = amount(element);
}

/// `<currentMemory>`.
pub(super) fn current<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    reader.memory.current = amount(element);
    if let (Some(current), Some(bytes)) = (reader.memory.current, reader.memory.bytes)
        && current < bytes
    {
        element.missing("nvmm takes no memory away at the start; the guest has all of <memory>");
    }
}

/// `<memoryBacking>`.
pub(super) fn backing<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if reader.is_replaced("memory", element) {
        return;
    }
    if let Some(hugepages) = element.child("hugepages") {
        reader.memory.hugepages = true;
        for page in hugepages.all("page") {
            page.rest(&[PAGES]);
            let unit = page.attribute("unit").unwrap_or("KiB");
            match page.attribute("size").and_then(|size| bytes(size, unit)) {
                Some(HUGE_PAGE) => {}
                Some(4096) => reader.memory.hugepages = false,
                Some(_) => page.missing("nvmm's huge pages have 2 MiB; the guest's memory is in those"),
                None => page.refuse("give size='2' unit='MiB', or leave the element out"),
            }
        }
    }
    if let Some(allocation) = element.child("allocation") {
        let modes = [("immediate", true), ("ondemand", false)];
        reader.memory.prefault = allocation.choice("mode", &modes).unwrap_or(false);
        allocation.rest(&[&[("@threads", Idle("nvmm uses one for each processor"))]]);
    }
    element.rest(&[BACKING]);
}

/// `<vcpu>`.
pub(super) fn vcpu<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    element.rest(&[&[
        ("@placement", Idle("nvmm's threads run where the host puts them; start it with taskset or numactl")),
        ("@cpuset", Idle("nvmm's threads run where the host puts them; start it with taskset or numactl")),
    ]]);
    let text = element.text();
    let Ok(all) = text.parse::<u32>() else {
        return element.refuse("give the number of vCPUs");
    };
    let current = element.number("current").filter(|current| *current < u64::from(all));
    reader.os.vcpus = Some((element, all, current));
}

/// The NUMA cells of `<cpu>`, whose memory replaces that of `<memory>`.
pub(super) fn numa<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    element.skip();
    let cells = element.all("cell");
    if let Some(second) = cells.get(1) {
        return second.refuse("nvmm's guests have one NUMA node; take <numa> out, or leave one cell in it");
    }
    for cell in cells {
        let unit = cell.attribute("unit").unwrap_or("KiB");
        reader.memory.cells = cell.attribute("memory").and_then(|memory| bytes(memory, unit));
        if reader.memory.cells.is_none() {
            cell.refuse("give memory='N' unit='KiB'");
        }
    }
}

/// Adds `--memory`, after everything was read.
pub(super) fn finish<'f, 'd>(reader: &mut Reader<'f, 'd>, root: Part<'f, 'd>) {
    let Memory { bytes, cells, hugepages, prefault, .. } = reader.memory;
    let Some(bytes) = cells.or(bytes) else {
        if reader.wants("memory") {
            root.refuse("it has no <memory>; add one, or give --memory");
        }
        return;
    };
    // libvirt rounds up like this for QEMU.
    let unit = if hugepages { HUGE_PAGE } else { MIB };
    let size = bytes.div_ceil(unit).saturating_mul(unit / MIB);
    let mut words = vec![format!("{size}M")];
    if hugepages || prefault {
        words[0].insert_str(0, "size=");
    }
    words.extend(hugepages.then(|| "hugepages=on".to_owned()));
    words.extend(prefault.then(|| "prefault=on".to_owned()));
    reader.emit(root, "memory", words.join(","));
}

/// An amount of memory; the default unit is KiB.
fn amount(element: Part<'_, '_>) -> Option<u64> {
    let unit = element.attribute("unit").unwrap_or("KiB");
    let bytes = bytes(&element.text(), unit);
    if bytes.is_none() {
        element.refuse(
            "give a whole number, and of units b, KB, KiB, MB, MiB, GB, GiB, TB or TiB, of which KiB is the default",
        );
    }
    bytes
}

/// libvirt, "Memory Allocation": `KB` is 1000 bytes, and `k` and `KiB` are 1024.
fn bytes(number: &str, unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    let (letter, rest) = unit.split_at_checked(1)?;
    let power = "kmgtpe".find(letter).map(|at| u32::try_from(at + 1).unwrap_or(u32::MAX));
    let factor = match (unit.as_str(), power, rest) {
        ("b" | "byte" | "bytes", ..) => 1,
        (_, Some(power), "b") => 1000_u64.checked_pow(power)?,
        (_, Some(power), "" | "ib") => 1024_u64.checked_pow(power)?,
        _ => return None,
    };
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
