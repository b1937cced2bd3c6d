use super::*;

/// SeaBIOS keeps 15 keys, Enter among them.
#[test]
fn no_text_is_longer_than_the_keyboard_buffer_of_the_bios() {
    let nvmm = machine(Path::new("/dev/vda"));
    let words: Vec<_> = nvmm.get_args().map(|word| word.to_str().unwrap()).collect();
    let sent: Vec<_> = words.windows(2).filter(|pair| pair[0] == "--send").map(|pair| pair[1]).collect();
    assert_eq!(sent.len(), 12, "{sent:?}");
    assert!(sent.iter().all(|text| text.len() < 15), "{sent:?}");
}

#[test]
fn a_request_is_answered_with_the_script_after_its_empty_line() {
    let mut answered = Vec::new();
    let mut request = &b"GET /script HTTP/1.1\r\nHost: 10.99.0.1\r\n\r\nmore"[..];
    answer(&mut request, &mut answered).unwrap();
    let answered = String::from_utf8(answered).unwrap();
    let (head, body) = answered.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, SCRIPT);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
}
