use super::*;

fn keys(line: &str, hold: Option<u64>) -> Result<SendKey, SendKeyError> {
    SendKey::new(&KeyValue::of_line(line), hold)
}

#[test]
fn keys_are_held_for_a_while() {
    let hold = |hold| keys("ctrl-a", hold).map(|keys| keys.hold.as_millis());
    assert_eq!(hold(None), Ok(100));
    assert_eq!([hold(Some(0)), hold(Some(60_000))], [Ok(0), Ok(60_000)]);
    assert_eq!(hold(Some(60_001)), Err(SendKeyError::Hold(60_001)));
    assert_eq!(keys("ctrl-a", None).unwrap().keys, [Key(0x1d), Key(0x1e)]);
}

#[test]
fn keys_that_can_not_be_pressed_are_refused() {
    assert!(matches!(keys("ctrl-x1", None), Err(SendKeyError::Key(KeyError::Name(_)))));
    assert_eq!(keys("a", None).unwrap().press(None), Err(SendKeyError::NoKeyboard));
}
