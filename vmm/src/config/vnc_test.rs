use std::ffi::OsStr;

use super::*;

fn parsed(text: &str) -> Result<VncConfig, String> {
    let text = words::encode(OsStr::new(text));
    let mut parts = text.split(',');
    let place = parts.next().unwrap();
    let mut keys = Keys::of(parts)?;
    let config = VncConfig::parse(place, &mut keys)?;
    keys.end("nothing").map(|()| config)
}

#[test]
fn a_place_is_a_display_or_a_path() {
    for (given, words, first) in [
        (":0", "vnc=127.0.0.1:0", "127.0.0.1:5900"),
        ("0.0.0.0:20", "vnc=0.0.0.0:20", "0.0.0.0:5920"),
        ("[::1]:1", "vnc=[::1]:1", "[::1]:5901"),
        ("localhost:59635", "vnc=localhost:59635", "localhost:65535"),
        (":1,to=99", "vnc=127.0.0.1:1,to=99", "127.0.0.1:5901"),
        (":1,to=1", "vnc=127.0.0.1:1", "127.0.0.1:5901"),
        ("unix:/run/a,,b", "vnc=unix:/run/a,,b", "/run/a,b"),
        ("unix:a:0", "vnc=unix:a:0", "a:0"),
    ] {
        let config = parsed(given).unwrap();
        assert_eq!(config.place.to_string(), words, "{given}");
        assert_eq!(config.place.addresses().next().unwrap().to_string(), first, "{given}");
        assert_eq!(config.password_file, None);
    }
    assert_eq!(parsed(":0,password-file=/p").unwrap().password_file, Some("/p".into()));
    assert_eq!(parsed(":7,to=9").unwrap().place.addresses().count(), 3);
}

#[test]
fn errors_say_what_would_do() {
    for (given, why) in [
        ("", SHAPE),
        ("1", SHAPE),
        ("::1:0", SHAPE),
        (":59636", "'59636' is no display: give a number from 0 to 59635"),
        (":-1", "'-1' is no display: give a number from 0 to 59635"),
        (":+1", "'+1' is no display: give a number from 0 to 59635"),
        (":", "'' is no display: give a number from 0 to 59635"),
        (":5,to=4", "to=4 is before the display 5"),
        (":5,to=x", "'x' is no display: give a number from 0 to 59635"),
        ("unix:", "the path is missing"),
        ("unix:a,to=4", "to=N is for displays"),
        (":0,password-file", "'password-file' needs a value: password-file=PATH"),
        (":0,password-file=", "the path is missing"),
        (":0,password=on", "'password' means nothing here; give nothing"),
    ] {
        assert_eq!(parsed(given), Err(why.to_owned()), "{given}");
    }
}

#[test]
fn an_address_decides_who_can_connect() {
    for (given, is_local) in [
        (":0", true),
        ("[::1]:0", true),
        ("127.1.2.3:0", true),
        ("unix:a", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
    ] {
        assert_eq!(parsed(given).unwrap().place.is_local(), is_local, "{given}");
    }
}

#[test]
fn the_next_displays_are_those_behind() {
    let next = |given| parsed(given).unwrap().place.next().next().map(|(place, _)| place.to_string());
    assert_eq!(next("0.0.0.0:1,to=3").as_deref(), Some("vnc=0.0.0.0:4"));
    assert_eq!(next("unix:a"), None);
}
