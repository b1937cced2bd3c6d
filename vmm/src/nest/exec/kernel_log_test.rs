use super::*;

#[test]
fn errors_are_shown_as_the_console_has_them() {
    let record =
        b"3,1021,12345678,-;kvm [141]: ignored rdmsr: 0x1a6 data 0x0\n SUBSYSTEM=misc\n DEVICE=c10:232\n";
    assert_eq!(message(record).unwrap(), "[   12.345678] kvm [141]: ignored rdmsr: 0x1a6 data 0x0");
    let crowded = b"2,9,1,c;a;b@nest[2,\"done\"]\n";
    assert_eq!(message(crowded).unwrap(), "[    0.000001] a;b@nest[2,\"done\"]");
    // From user space, by syslog's facility 1.
    assert_eq!(message(b"11,9,7000000,-;x\n").unwrap(), "[    7.000000] x");
}

#[test]
fn other_kernel_messages_are_not_shown() {
    for record in [
        &b"6,1,1,-;info"[..],
        b"0,1,1,-;emergency",
        b"4,1,1,-;warning",
        b"15,1,1,-;debug",
        b"",
        b";",
        b"x,1,1,-;y",
        b"3,1;y",
        b"3,1,z,-;y",
    ] {
        assert_eq!(message(record), None, "{}", String::from_utf8_lossy(record));
    }
}
