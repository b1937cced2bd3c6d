use super::*;

#[test]
fn qemu_s_form_is_read_and_written() {
    for (text, address, guest_port) in [
        ("tcp::2222-:22", None, 22),
        ("tcp:127.0.0.1:2222-:22", Some("127.0.0.1"), 22),
        ("udp:[::1]:2222-:65535", Some("::1"), 65535),
    ] {
        let forward: Forward = text.parse().unwrap();
        let protocol = if text.starts_with('t') { Protocol::Tcp } else { Protocol::Udp };
        let address = address.map(|address| address.parse().unwrap());
        assert_eq!(forward, Forward { protocol, address, port: 2222, guest_port });
        assert_eq!(forward.to_string(), text);
    }
    assert_eq!("::1-:2".parse::<Forward>().unwrap().to_string(), "tcp::1-:2");
}

#[test]
fn other_forms_are_refused() {
    for (text, expected) in [
        ("", ForwardError::Form),
        ("2222-:22", ForwardError::Form),
        ("sctp::1-:2", ForwardError::Form),
        ("tcp::2222", ForwardError::Form),
        ("tcp:2222-:22", ForwardError::Form),
        ("tcp::2222-22", ForwardError::Form),
        ("tcp:localhost:1-:2", ForwardError::Address),
        ("tcp:::1:1-:2", ForwardError::Address),
        ("tcp:[127.0.0.1]:1-:2", ForwardError::Address),
        ("tcp:1.2.3:1-:2", ForwardError::Address),
        ("tcp::0-:22", ForwardError::Port),
        ("tcp::65536-:22", ForwardError::Port),
        ("tcp::+1-:22", ForwardError::Port),
        ("tcp::1-:", ForwardError::Port),
        ("tcp::1-10.0.2.15:22", ForwardError::GuestAddress),
    ] {
        assert_eq!(text.parse::<Forward>(), Err(expected), "{text}");
    }
}
