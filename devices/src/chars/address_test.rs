use super::{
    super::listener::{Access, Listener},
    *,
};

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

#[test]
fn a_path_that_no_socket_can_have_is_refused_by_server_and_client() {
    let folder = tempfile::tempdir().unwrap();
    let path = |len: usize| {
        let name = "x".repeat(len - folder.path().as_os_str().len() - 1);
        Address::Unix(folder.path().join(name))
    };
    let longest = path(107);
    longest.resolve().unwrap();
    Listener::new(&longest, Access::Umask).unwrap();
    let longer = path(108);
    let error =
        format!("{longer}: the path has 108 bytes, and a unix socket's has at most 107; give a shorter one");
    assert_eq!(longer.resolve().unwrap_err().to_string(), error);
    assert_eq!(Listener::new(&longer, Access::Umask).unwrap_err().to_string(), error);
}
