use super::*;

#[test]
fn a_server_and_its_viewers_are_reported_as_by_qemu() {
    let at = |address: &str| Endpoint::tcp(address.parse().unwrap());
    let info = VncInfo::new(at("127.0.0.1:5901"), true, vec![at("[::1]:40000")]);
    assert_eq!(
        info.to_json(),
        json!({
            "enabled": true, "host": "127.0.0.1", "service": "5901", "family": "ipv4", "auth": "vnc",
            "clients": [{"host": "::1", "service": "40000", "family": "ipv6", "websocket": false}],
        })
    );
    let text = "default:\n  Server: 127.0.0.1:5901 (ipv4)\n    Auth: vnc (Sub: none)\n  Client: ::1:40000 (ipv6)\n    x509_dname: none\n    sasl_username: none\n";
    assert_eq!(InfoVnc(&info).to_string(), text);
    let info = VncInfo::new(Endpoint::unix("/run/vnc"), false, Vec::new());
    assert_eq!(
        InfoVnc(&info).to_string(),
        "default:\n  Server: :/run/vnc (unix)\n    Auth: none (Sub: none)\n"
    );
    assert_eq!(VncInfo::default().to_json(), json!({"enabled": false}));
    assert_eq!(InfoVnc(&VncInfo::default()).to_string(), "None\n");
}
