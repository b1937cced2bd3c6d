use super::*;

#[test]
fn a_record_is_a_message() {
    let record = "4,135,596540,-;WARNING: CPU: 0 PID: 1 at kernel/a.c:1\n KEY=value\n";
    let expected = Message { priority: 4, text: "WARNING: CPU: 0 PID: 1 at kernel/a.c:1".to_owned() };
    assert_eq!(message(record), Some(expected));
    assert_eq!(message("none"), None);
    assert_eq!(message("x,1;text"), None);
}
