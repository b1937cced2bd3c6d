//! A recorder of QEMU's answers about its CPU models, for the tests of nvmm's table.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
    process::Command,
};

use arch::cpu::cpuid::{Cpuid, Leaf, Registers};
use serde_json::{Value, json};

use crate::definitions::{Definition, Definitions};

/// The vendors to set for each model, to see the caches that guests get under each.
const MAKERS: [&str; 2] = ["GenuineIntel", "AuthenticAMD"];
/// The leaves with a CPU's age and its caches.
const LEAVES: [Leaf; 13] = [
    Leaf::new(1),
    Leaf::new(2),
    Leaf::sub(4, 0),
    Leaf::sub(4, 1),
    Leaf::sub(4, 2),
    Leaf::sub(4, 3),
    Leaf::sub(4, 4),
    Leaf::new(0x8000_0005),
    Leaf::new(0x8000_0006),
    Leaf::sub(0x8000_001d, 0),
    Leaf::sub(0x8000_001d, 1),
    Leaf::sub(0x8000_001d, 2),
    Leaf::sub(0x8000_001d, 3),
];

/// Asks the first qemu-system-x86_64 in PATH, and writes its answers to `output`, one model per line.
pub(crate) fn write(output: &Path) {
    let mut emulated = Definitions::ask("tcg").unwrap();
    let kvm = Definitions::ask("kvm").unwrap();
    let (mut brings, mut takes) = (BTreeSet::new(), BTreeSet::new());
    for (name, model) in &mut emulated.models {
        let on_kvm = &kvm.models[name].features;
        // TCG has no virtual 8086 mode extensions, whatever the model has.
        model.features.extend(on_kvm.get("vme").cloned());
        brings.extend(on_kvm.difference(&model.features).cloned());
        takes.extend(model.features.difference(on_kvm).cloned());
    }
    for (name, model) in &emulated.models {
        let expected: BTreeSet<_> = (&model.features - &takes).union(&brings).cloned().collect();
        assert_eq!(
            expected, kvm.models[name].features,
            "KVM's changes are not the same for each model: {name}"
        );
    }
    let on_kvm = json!({"brings": brings, "takes": takes});

    let mut text =
        format!("{{\n\"qemu\": {},\n\"kvm\": {on_kvm},\n\"models\": {{\n", json!(emulated.version));
    lines(
        &mut text,
        emulated.models.iter().map(|(name, model)| {
            // An alias has no properties of its own.
            let line = match &model.alias_of {
                Some(alias_of) => {
                    let original = &emulated.models[alias_of];
                    assert_eq!(
                        serde_json::to_value(Definition { alias_of: None, ..model.clone() }).unwrap(),
                        json!(original),
                        "{name}"
                    );
                    json!({"alias-of": alias_of})
                }
                None => json!(model),
            };
            format!("{}: {line}", json!(name))
        }),
    );
    text.push_str("},\n\"caches\": [\n");
    lines(&mut text, caches(&emulated).into_iter().map(|line| line.to_string()));
    text.push_str("]\n}\n");
    fs::write(output, text).unwrap();
}

fn lines(text: &mut String, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    writeln!(text, "{}", lines.join(",\n")).unwrap();
}

/// The leaves of each model under each vendor, grouped by equal leaves.
fn caches(definitions: &Definitions) -> Vec<Value> {
    let mut groups: BTreeMap<String, (Value, Vec<&str>)> = BTreeMap::new();
    for (name, model) in definitions.models.iter().filter(|(_, model)| model.alias_of.is_none()) {
        for maker in MAKERS {
            let leaves = leaves(name, model, maker);
            let group = json!({"maker": maker, "leaves": leaves});
            groups.entry(group.to_string()).or_insert_with(|| (group, Vec::new())).1.push(name);
        }
    }
    let line = |(mut group, names): (Value, Vec<&str>)| {
        group["models"] = json!(names);
        group
    };
    groups.into_values().map(line).collect()
}

/// The leaves in [`LEAVES`] that the model has, as a guest reads them. Of leaf 1, only the age.
fn leaves(name: &str, model: &Definition, maker: &str) -> Cpuid {
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cpuid.img");
    fs::write(&image, boot_sector()).unwrap();
    // QEMU 11.1 fails an assertion when a leaf above a last leaf of 1FH is read.
    let level = if model.level == 0x1f { ",level=0x20" } else { "" };
    let output = Command::new("qemu-system-x86_64")
        .args(["-machine", "pc", "-accel", "tcg", "-m", "4", "-nodefaults", "-display", "none"])
        .args(["-cpu", &format!("{name},vendor={maker},check=off{level}")])
        .args(["-drive", &format!("if=ide,format=raw,snapshot=on,file={}", image.display())])
        .args(["-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4"])
        .output()
        .unwrap();
    let answer_bytes = LEAVES.len() * size_of::<[u32; 4]>();
    let start = output.stdout.len().checked_sub(answer_bytes).unwrap_or_else(|| panic!("{name}: {output:?}"));
    let (words, _) = output.stdout[start..].as_chunks();
    let words: Vec<_> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (answers, _) = words.as_chunks();
    let leaves = LEAVES.into_iter().zip(answers).filter_map(|(leaf, &[eax, ebx, ecx, edx])| {
        let last = if leaf.function < 0x8000_0000 { model.level } else { model.xlevel };
        let registers = match leaf.function {
            1 => Registers { eax, ..Registers::default() },
            _ => Registers { eax, ebx, ecx, edx },
        };
        (leaf.function <= last && !registers.is_zero()).then_some((leaf, registers))
    });
    Cpuid(leaves.collect())
}

/// A program for the BIOS to start: it writes the results of CPUID for each of [`LEAVES`] to QEMU's debug console, and ends QEMU.
fn boot_sector() -> Vec<u8> {
    const TABLE: usize = 0x60;
    #[rustfmt::skip]
    const CODE: [u8; 68] = [
        0x31, 0xc0,             // 7c00 xor ax, ax
        0x8e, 0xd8,             //      mov ds, ax
        0x8e, 0xc0,             //      mov es, ax
        0xfc,                   //      cld
        0xbe, 0x60, 0x7c,       //      mov si, TABLE
        0x66, 0xad,             // next: lodsd             the function
        0x66, 0x83, 0xf8, 0xfe, //      cmp eax, -2
        0x74, 0x2b,             //      je end
        0x66, 0x89, 0xc2,       //      mov edx, eax
        0x66, 0xad,             //      lodsd              the index
        0x66, 0x91,             //      xchg eax, ecx
        0x66, 0x92,             //      xchg eax, edx
        0x0f, 0xa2,             //      cpuid
        0xbf, 0x00, 0x7e,       //      mov di, 7e00h
        0x66, 0xab,             //      stosd
        0x66, 0x93,             //      xchg eax, ebx
        0x66, 0xab,             //      stosd
        0x66, 0x91,             //      xchg eax, ecx
        0x66, 0xab,             //      stosd
        0x66, 0x92,             //      xchg eax, edx
        0x66, 0xab,             //      stosd
        0x56,                   //      push si
        0xbe, 0x00, 0x7e,       //      mov si, 7e00h
        0xb9, 0x10, 0x00,       //      mov cx, 16
        0xba, 0xe9, 0x00,       //      mov dx, e9h        the debug console
        0xf3, 0x6e,             //      rep outsb
        0x5e,                   //      pop si
        0xeb, 0xcd,             //      jmp next
        0xba, 0xf4, 0x00,       // end: mov dx, f4h        the debug exit
        0xee,                   //      out dx, al
        0xf4,                   //      hlt
        0xeb, 0xfd,             //      jmp the hlt
    ];
    let mut sector = CODE.to_vec();
    sector.resize(TABLE, 0);
    for leaf in LEAVES {
        sector.extend(leaf.function.to_le_bytes());
        sector.extend(leaf.index.unwrap_or(0).to_le_bytes());
    }
    sector.extend((-2_i32).to_le_bytes());
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}
