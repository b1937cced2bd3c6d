use std::path::Path;

use super::*;
use crate::host::Host;

const LOG_HISTOGRAM: u32 = 4;

/// A statistics file of (flags, values, name), with `gap` bytes between the blocks and values in the reverse order of descriptors.
fn file(name_size: usize, gap: usize, stats: &[(u32, &[u64], &str)]) -> Vec<u8> {
    let u32 = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let id = 24 + gap;
    let descriptors = id + name_size + gap;
    let data = descriptors + stats.len() * (16 + name_size) + gap;
    let mut file: Vec<u8> =
        [0, name_size, stats.len(), id, descriptors, data].into_iter().flat_map(u32).collect();
    file.resize(descriptors, 0xff);
    let mut offset = stats.iter().map(|(_, values, _)| values.len() * 8).sum::<usize>();
    let end = data + offset;
    let mut values_at = Vec::new();
    for (flags, values, name) in stats {
        offset -= values.len() * 8;
        file.extend(flags.to_le_bytes());
        file.extend((-9_i16).to_le_bytes());
        file.extend(u16::try_from(values.len()).unwrap().to_le_bytes());
        file.extend(u32(offset));
        file.extend(7_u32.to_le_bytes());
        file.extend(name.bytes());
        file.resize(file.len() + name_size - name.len(), 0);
        values_at.push((data + offset, values));
    }
    file.resize(end, 0xff);
    for (at, values) in values_at {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    file
}

fn counters(values: &[(&str, u64)]) -> Counters {
    values.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn values_are_found_by_the_files_own_layout() {
    let stats: [(u32, &[u64], &str); 4] = [
        (0, &[12], "exits"),
        (LOG_HISTOGRAM | 0x20, &[1, 2, 3], "halt_wait_hist"),
        (1, &[u64::MAX], "pages_4k"),
        (2, &[4], "max_mmu_rmap_size"),
    ];
    let expected = counters(&[("exits", 12), ("pages_4k", u64::MAX), ("max_mmu_rmap_size", 4)]);
    for (name_size, gap) in [(48, 0), (24, 0), (48, 8), (100, 3)] {
        assert_eq!(parse(&file(name_size, gap, &stats)), Some(expected.clone()), "{name_size} {gap}");
    }
    assert_eq!(parse(&file(48, 0, &[])), Some(Counters::new()));
}

#[test]
fn a_file_that_ends_early_or_points_outside_is_refused() {
    let whole = file(48, 0, &[(0, &[12], "exits"), (0, &[3], "io_exits")]);
    assert!(parse(&whole).is_some());
    for len in 0..whole.len() {
        assert_eq!(parse(&whole[..len]), None, "{len} bytes");
    }
    for place in [4, 8, 16, 20, 24 + 48 + 8] {
        let mut broken = whole.clone();
        broken[place..place + 4].fill(0xff);
        assert_eq!(parse(&broken), None, "number at {place}");
    }
}

#[test]
fn vcpus_are_added_up_and_reasons_ordered() {
    let stats = Stats {
        vm: counters(&[("pages_4k", 5)]),
        vcpus: vec![
            counters(&[("exits", 10), ("io_exits", 3), ("halt_exits", 0), ("irq_exits", 4)]),
            counters(&[("exits", 5), ("io_exits", 2), ("halt_exits", 0), ("nested_run", 1)]),
        ],
    };
    assert_eq!(
        stats.vcpu_total(),
        counters(&[("exits", 15), ("halt_exits", 0), ("io_exits", 5), ("irq_exits", 4), ("nested_run", 1)])
    );
    assert_eq!(by_reason(&stats.vcpu_total()), [("io", 5), ("irq", 4)]);
    assert_eq!(stats.to_string(), "15 exits, io 5, irq 4; nested entries 1");
    let json = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&json).unwrap(), stats);
}

#[test]
fn this_kvm_has_the_documented_statistics() {
    let host = match Host::open(Path::new("/dev/kvm")) {
        Ok(host) => host,
        Err(error) => return println!("skipped: {error}"),
    };
    let vm = host.kvm.create_vm().unwrap();
    let Some(of_vm) = read(&vm).unwrap() else {
        return println!("skipped: this KVM has no KVM_CAP_BINARY_STATS_FD");
    };
    assert!(of_vm.contains_key("remote_tlb_flush"), "{of_vm:?}");
    let of_vcpu = read(&vm.create_vcpu(0).unwrap()).unwrap().unwrap();
    assert_eq!(of_vcpu.get("exits"), Some(&0), "{of_vcpu:?}");
    assert!(of_vcpu.contains_key("halt_wait_ns") && !of_vcpu.contains_key("halt_wait_hist"), "{of_vcpu:?}");
    let file = File::open("/dev/null").unwrap();
    assert_eq!(read(&file).unwrap(), None);
}

#[test]
fn shown_statistics_can_be_read_back() {
    for (shown, nested) in [
        (counters(&[("exits", 9), ("io_exits", 7), ("irq_window_exits", 1)]), 0),
        (counters(&[("exits", 3)]), 2),
    ] {
        let mut all = shown;
        if nested > 0 {
            all.insert("nested_run".into(), nested);
        }
        let text = Stats { vm: Counters::new(), vcpus: vec![all.clone()] }.to_string();
        assert_eq!(read_back(&text), Some(all), "{text}");
    }
    for text in ["", "exits", "x exits", "3 exits, io", "3 exits; nested entries x"] {
        assert_eq!(read_back(text), None, "{text}");
    }
}
