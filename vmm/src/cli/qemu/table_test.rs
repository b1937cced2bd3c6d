use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;
use crate::args::MachineArgs;

fn tables() -> impl Iterator<Item = &'static Row> {
    OPTIONS.iter().chain(DEVICES).chain(OBJECTS).chain(USB_DEVICES)
}

fn own_longs() -> BTreeSet<String> {
    let command = MachineArgs::command();
    let names = command.get_arguments().flat_map(|option| {
        option
            .get_long()
            .into_iter()
            .chain(option.get_all_aliases().unwrap_or_default())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn no_word_is_there_twice() {
    for table in [OPTIONS, DEVICES, OBJECTS, USB_DEVICES] {
        for (at, row) in table.iter().enumerate() {
            for name in row.names {
                let found = find(table, name).map(|(found, _)| found.names);
                assert_eq!(found, Some(row.names), "{name} is found in another row than number {at}");
                assert_eq!(row.names.iter().filter(|other| *other == name).count(), 1, "{name}");
            }
        }
    }
}

#[test]
fn a_row_of_nvmms_has_an_option_of_nvmms() {
    let longs = own_longs();
    for row in OPTIONS {
        match row.meaning {
            Same(long) => assert!(longs.contains(long), "{long}"),
            Is(option, _) => assert!(longs.contains(option.trim_start_matches('-')), "{option}"),
            Shared(_) => {}
            _ => {
                let has: Vec<_> = row.names.iter().filter(|name| longs.contains(**name)).collect();
                assert!(has.is_empty(), "nvmm has {has:?}, which the table keeps it from");
            }
        }
    }
}

#[test]
fn the_sentences_name_options_that_nvmm_has_or_takes() {
    let longs = own_longs();
    let mut seen = 0;
    for row in tables() {
        let (Idle(sentence) | Without(sentence) | No(sentence) | By(_, _, sentence)) = row.meaning else {
            continue;
        };
        for word in sentence.split(|letter: char| !['-', '_'].contains(&letter) && !letter.is_alphanumeric())
        {
            if let Some(long) = word.strip_prefix("--") {
                assert!(longs.contains(long), "{sentence}");
                seen += 1;
            } else if let Some(name) =
                word.strip_prefix('-').filter(|name| name.len() > 1 && *name != "vv" && *name != "vvv")
            {
                let taken = find(OPTIONS, name).is_some_and(|(row, _)| !matches!(row.meaning, No(_)));
                assert!(taken, "{sentence}: -{name}");
                seen += 1;
            }
        }
        assert!(!sentence.ends_with('.') && !sentence.is_empty(), "{sentence}");
    }
    assert!(seen > 20);
}

/// The options of QEMU 7.2 and later for a PC, from its help.
#[test]
fn every_option_of_qemus_help_is_there() {
    let flags = "enable-kvm mem-prealloc snapshot usb nographic full-screen portrait win2k-hack no-fd-bootchk no-acpi no-hpet singlestep preconfig S s \
                 xen-attach xen-domid-restrict no-reboot no-shutdown daemonize only-migratable nodefaults no-user-config async-teardown enable-sync-profile";
    let with_values = "machine cpu accel smp numa add-fd set global boot m mem-path k audio audiodev device name uuid fda fdb hda hdb hdc hdd cdrom blockdev drive \
                       mtdblock sd fsdev virtfs iscsi usbdevice display spice rotate vga vnc acpitable smbios netdev nic net chardev tpmdev bios pflash kernel append \
                       initrd dtb compat fw_cfg serial parallel monitor qmp qmp-pretty mon debugcon pidfile overcommit gdb d D dfilter seed L xen-domid action loadvm \
                       option-rom rtc icount watchdog-action echr incoming chroot runas sandbox readconfig trace plugin msg dump-vmstate object run-with shim g";
    for (names, takes_value) in [(flags, false), (with_values, true)] {
        for name in names.split_whitespace() {
            let (row, _) = find(OPTIONS, name).unwrap_or_else(|| panic!("-{name}"));
            assert_eq!(row.takes_value, takes_value, "-{name}");
        }
    }
}
