use super::*;

#[test]
fn names_are_the_kernels() {
    for text in ["a", "tap0", "tap%d", "%d", "fifteen-bytes-1", "tapä", "-", "..."] {
        assert_eq!(text.parse::<InterfaceName>().unwrap().as_str(), text);
    }
    for text in [
        "",
        ".",
        "..",
        "sixteen-bytes-12",
        "fifteen-bytes-ä",
        "a/b",
        "a:0",
        "a b",
        "a\tb",
        "a\nb",
        "a\0",
        "%",
        "%s",
        "%d%d",
        "%%d",
    ] {
        assert_eq!(text.parse::<InterfaceName>(), Err(InterfaceNameError), "{text:?}");
    }
}

#[test]
fn the_loopback_is_no_tap() {
    let interface = Interface::new("lo".parse().unwrap()).unwrap();
    assert!(interface.index().is_ok() && !interface.is_tap() && !interface.is_macvtap());
    assert!(Interface::new("no-such".parse().unwrap()).unwrap().index().is_err());
}
