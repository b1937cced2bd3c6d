use super::*;

#[test]
fn a_process_s_size_is_read() {
    assert_eq!(size("VmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB"), Some(1234));
    assert_eq!(size("VmHWM:\t    9000 kB"), None);
    assert!(resident(std::process::id()).unwrap() > 0);
}
