use super::*;

#[test]
fn input_is_taken_in_order_and_as_far_as_there_is_room() {
    let mut input = Input::new(8);
    assert_eq!(input.push(b"0123456789"), 8);
    assert_eq!((input.room(), input.push(b"x")), (0, 0));
    assert!(!input.deliver(|_| 0), "still full");
    assert!(input.deliver(|bytes| bytes.iter().take(3).count()), "there is room again");
    assert_eq!(input.push(b"89ab"), 3);
    assert!(input.deliver(|_| 1));
    assert!(!input.deliver(|_| 1), "there was room before");
    let mut seen: Vec<u8> = Vec::new();
    input.deliver(|bytes| {
        seen.extend(bytes);
        bytes.len()
    });
    assert_eq!(seen, b"56789a");
    assert!(input.is_empty());
    input.deliver(|_| panic!("nothing is there"));
}

/// A device that claims to have taken more than was available must not cause a panic.
#[test]
fn a_device_can_not_take_more_than_there_is() {
    let mut input = Input::default();
    input.push(b"abc");
    input.deliver(|_| 4);
    assert!(input.is_empty());
    assert_eq!(input.room(), Input::CAPACITY);
}

#[test]
fn input_put_back_comes_first_and_needs_no_room() {
    let mut input = Input::new(4);
    input.push(b"cdef");
    input.put_back(b"ab");
    assert_eq!((input.room(), input.push(b"x")), (0, 0));
    assert!(!input.deliver(|bytes| bytes.iter().position(|&byte| byte == b'c').unwrap()), "that was no room");
    assert!(input.deliver(|_| 1));
    assert_eq!(input.push(b"xy"), 1);
}

#[test]
fn appended_input_comes_last_and_needs_no_room() {
    let mut input = Input::new(4);
    input.push(b"abcd");
    input.append(b"ef");
    assert_eq!((input.room(), input.push(b"x")), (0, 0));
    assert!(!input.deliver(|_| 2), "that was no room");
    assert!(input.deliver(|bytes| bytes.iter().position(|&byte| byte == b'e').unwrap()));
    input.deliver(|bytes| {
        assert_eq!(bytes, b"ef");
        bytes.len()
    });
}
