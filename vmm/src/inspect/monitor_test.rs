use super::{super::test_machine::TestMachine, *};

#[test]
fn commands_are_qemus() {
    let parse = |line| MonitorCommand::parse(line, 1).unwrap();
    assert_eq!(parse("info registers"), MonitorCommand::Registers(Some(1)));
    assert_eq!(parse(" info  registers -a "), MonitorCommand::Registers(None));
    assert_eq!(parse("info registers 0x10"), MonitorCommand::Registers(Some(16)));
    assert_eq!(parse("info lapic"), MonitorCommand::Lapic { apic_id: None, vcpu: 1 });
    assert_eq!(parse("info lapic 3"), MonitorCommand::Lapic { apic_id: Some(3), vcpu: 1 });
    assert_eq!(parse("info network"), MonitorCommand::Network);
    assert_eq!(parse("info pic"), MonitorCommand::Pic);
    assert_eq!(parse("info pci"), MonitorCommand::Pci);
    assert_eq!(parse("info block"), MonitorCommand::Block);
    assert_eq!(parse("info status"), MonitorCommand::Status);
    let keys = SendKey::new(&KeyValue::of_line("ctrl-alt-f1"), None).unwrap();
    assert_eq!(parse("sendkey ctrl-alt-f1"), MonitorCommand::SendKey(keys));
    let keys = SendKey::new(&KeyValue::of_line("a"), Some(5)).unwrap();
    assert_eq!(parse("sendkey a 5"), MonitorCommand::SendKey(keys));
    let refused = |line| MonitorCommand::parse(line, 0).unwrap_err();
    assert!(refused("info\nfoo").starts_with("unknown command: 'info foo'; there are info block, "));
    assert!(refused("quit\u{1b}").starts_with("unknown command: 'quit\\u{1b}'; "));
    assert!(refused("sendkey ctrl-foo").starts_with("unknown key 'foo'"));
    assert_eq!(refused("sendkey a x"), "invalid number 'x'\n");
    assert_eq!(refused("info registers x"), "invalid number 'x'\n");
    assert_eq!(refused("info lapic 99999999999"), "invalid number '99999999999'\n");
}

#[test]
fn vcpus_are_found_by_index_and_by_apic_id() {
    let Some(machine) = TestMachine::new(2) else { return };
    let machine = machine.halted();
    assert!(info_registers(&machine, Some(1)).unwrap().starts_with("\nCPU#1\n"));
    let all = info_registers(&machine, None).unwrap();
    assert!(all.starts_with("\nCPU#0\nRAX=") && all.contains("\nCPU#1\n"), "{all}");
    assert!(info_lapic(&machine, None, 1).unwrap().starts_with("dumping local APIC state for CPU 1 \n"));
    assert!(info_lapic(&machine, Some(0), 1).unwrap().starts_with("dumping local APIC state for CPU 0 \n"));
    assert_eq!(info_lapic(&machine, Some(7), 0).unwrap(), "No local APIC (apic-id 7)\n");
    assert!(info_pic(&machine).unwrap().starts_with("ioapic0: ver=0x11 "));
    assert!(matches!(info_registers(&machine, Some(2)), Err(InspectError::NoVcpu { .. })));
}

#[test]
fn states_have_qemus_words() {
    assert_eq!(info_status("running"), "VM status: running\n");
    assert_eq!(info_status("paused"), "VM status: paused\n");
    assert_eq!(info_status("guest-panicked"), "VM status: paused (guest-panicked)\n");
}
