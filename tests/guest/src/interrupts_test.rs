use super::*;

const TEXT: &str = "           CPU0       CPU1
  4:        150          7   IO-APIC   4-edge      ttyS0
  8:          2          3   IO-APIC   8-edge      rtc0
 14:          9          9   IO-APIC  14-edge      4:";

#[test]
fn a_device_s_interrupts_are_those_of_all_cpus() {
    assert_eq!(of_device(TEXT, "rtc0"), 5);
    assert_eq!(of_device(TEXT, "i8042"), 0);
}

#[test]
fn a_line_s_interrupts_are_those_of_all_cpus() {
    assert_eq!(of_line(TEXT, 4), 157);
    assert_eq!(of_line(TEXT, 3), 0);
}
