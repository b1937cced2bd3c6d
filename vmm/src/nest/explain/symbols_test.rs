use super::*;
use crate::nest::disk;

const KALLSYMS: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81073914 t native_write_msr
ffffffff810737c0 T native_read_msr
ffffffff82000000 D some_data
ffffffffc03b3d30 t __svm_vcpu_run\t[kvm_amd]
broken
";

#[test]
fn functions_alone_are_saved() {
    let text = functions(KALLSYMS);
    assert_eq!(
        text,
        "ffffffff81073914 native_write_msr\nffffffff810737c0 native_read_msr\nffffffffc03b3d30 __svm_vcpu_run\t[kvm_amd]\n"
    );
}

#[test]
fn an_address_is_named_by_the_function_before_it() {
    let mut disk = functions(KALLSYMS).into_bytes();
    disk.extend([0; 512]);
    disk.extend(b"ffffffff81073800 behind_the_end\n");
    let symbols = Symbols::parse(&disk);
    let name = |address| symbols.name(address);
    assert_eq!(name(0xffff_ffff_8107_37c3).as_deref(), Some("native_read_msr+0x3"));
    assert_eq!(name(0xffff_ffff_8107_3914).as_deref(), Some("native_write_msr"));
    assert_eq!(name(0xffff_ffff_c03b_3dc9).as_deref(), Some("__svm_vcpu_run+0x99 [kvm_amd]"));
    assert_eq!(name(0x77_969f).as_deref(), Some("user space"));
    // Before all of them, and too far behind one.
    assert_eq!([name(0xffff_ffff_8000_0000), name(0xffff_ffff_9000_0000)], [None, None]);
}

#[test]
fn a_disk_without_symbols_names_nothing() {
    let disk = disk::make(1).unwrap();
    assert_eq!(Symbols::read(&disk, disk::END).name(u64::MAX), None);
    make_room(&disk, disk::END).unwrap();
    assert_eq!(Symbols::read(&disk, disk::END).name(u64::MAX), None);
    assert_eq!(
        Symbols::parse(b"\xff\xff zz\n1 low\nffffffffffffff00 high").name(u64::MAX).as_deref(),
        Some("high+0xff")
    );
}

#[test]
fn symbols_leave_the_disk_check_alone() {
    let disk = disk::make(1).unwrap();
    let before = disk::outside(&disk).unwrap();
    make_room(&disk, disk::END).unwrap();
    disk.0.write_all_at(functions(KALLSYMS).as_bytes(), disk::END).unwrap();
    assert_eq!(disk::outside(&disk).unwrap(), before);
    assert_eq!(
        Symbols::read(&disk, disk::END).name(0xffff_ffff_8107_3914).as_deref(),
        Some("native_write_msr")
    );
}

#[test]
fn symbols_of_several_chunks_are_read_to_the_last() {
    let disk = disk::make(1).unwrap();
    make_room(&disk, disk::END).unwrap();
    let line = "ffffffff81000000 first\n";
    let mut text = line.repeat(2 * CHUNK / line.len() + 1);
    text.push_str("ffffffff82000000 last\n");
    disk.0.write_all_at(text.as_bytes(), disk::END).unwrap();
    let symbols = Symbols::read(&disk, disk::END);
    assert_eq!(symbols.name(0xffff_ffff_8200_0001).as_deref(), Some("last+0x1"));
    // They may fill all of their room, up to the disk's end.
    disk.0.set_len(disk::END + text.len() as u64).unwrap();
    assert_eq!(Symbols::read(&disk, disk::END).name(0xffff_ffff_8200_0000).as_deref(), Some("last"));
}
