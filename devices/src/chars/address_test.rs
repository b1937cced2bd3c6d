use super::*;

#[test]
fn addresses_are_printed_as_they_are_given() {
    let tcp = |host: &str| Address::Tcp { host: host.to_owned(), port: 4444 }.to_string();
    assert_eq!(tcp("127.0.0.1"), "127.0.0.1:4444");
    assert_eq!(tcp("::1"), "[::1]:4444");
    assert_eq!(Address::Unix("/run/a\nb".into()).to_string(), "/run/a\\nb");
}

#[test]
fn a_host_can_have_several_addresses() {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 1 };
    let resolved = address.resolve().unwrap();
    assert_eq!(resolved.len(), 1);
    assert_eq!(Address::Unix("x".into()).resolve().unwrap().len(), 1);
}
