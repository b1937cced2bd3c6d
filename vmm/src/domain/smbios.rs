//! `<sysinfo>`.

use super::{part::Part, reader::Reader};

const OPTION: &str = "smbios";

/// The elements of `<sysinfo>`, with the structure's type.
const BLOCKS: [(&str, u8); 5] =
    [("bios", 0), ("system", 1), ("baseBoard", 2), ("chassis", 3), ("oemStrings", 11)];

/// `<sysinfo>`, which counts if `<smbios mode=''/>` of `<os>` says so.
pub(super) fn keep<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    match element.attribute("type") {
        Some("smbios") => reader.sysinfo.push(element),
        Some("fwcfg") => element.refuse("nvmm gives firmware no files of others; take it out"),
        _ => element.refuse_attribute("type", "give smbios"),
    }
}

/// Adds its options, once it is known whether it counts.
pub(super) fn finish(reader: &mut Reader<'_, '_>) {
    for element in std::mem::take(&mut reader.sysinfo) {
        if reader.is_replaced(OPTION, element) {
            continue;
        }
        if !reader.os.sysinfo {
            element.skip();
            element.idle("<os> has no <smbios mode='sysinfo'/>");
            continue;
        }
        for (name, number) in BLOCKS {
            element.all(name).into_iter().for_each(|block| read(reader, block, number));
        }
    }
}

fn read(reader: &mut Reader<'_, '_>, block: Part<'_, '_>, number: u8) {
    let mut words = vec![format!("type={number}")];
    for entry in block.all("entry") {
        let value = entry.text().replace(',', ",,");
        if number == 11 {
            words.push(format!("value={value}"));
        } else if let Some(name) = entry.needs("name") {
            words.push(format!("{}={value}", name.replace([',', '='], " ")));
        }
    }
    if words.len() > 1 {
        reader.emit(block, OPTION, words.join(","));
    }
}
