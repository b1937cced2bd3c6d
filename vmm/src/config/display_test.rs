use super::*;

fn parsed(text: &str) -> Result<Option<(u16, u16)>, String> {
    let config = DisplayConfig::parse(OsStr::new(text)).map_err(|error| error.to_string())?;
    Ok(config.map(|DisplayConfig { resolution: Resolution { width, height }, .. }| (width, height)))
}

#[test]
fn there_is_a_screen_unless_it_says_none() {
    for (given, expected) in [
        ("none", None),
        ("vga", Some((1280, 800))),
        ("vga,xres=1024,yres=768", Some((1024, 768))),
        ("vga,yres=1600,xres=2560", Some((2560, 1600))),
        ("vnc=:0", Some((1280, 800))),
        ("vnc=unix:/a,,xres=1,yres=768,xres=1024", Some((1024, 768))),
    ] {
        assert_eq!(parsed(given), Ok(expected), "{given}");
    }
}

#[test]
fn errors_say_what_would_do() {
    let all = format!("give {KNOWN}");
    for (given, why) in [
        ("", all.as_str()),
        ("gtk", all.as_str()),
        ("vnc", all.as_str()),
        ("vnc=:0,xres=640", "give xres=N and yres=N together"),
        (
            "vnc=:0,share=ignore",
            "'share' means nothing here; give password-file=PATH, to=N, xres=N,yres=N; a comma in a path is written twice",
        ),
        ("none,xres=640", "'none' is no screen, and has no keys"),
        ("vga,xres=1024", "give xres=N and yres=N together"),
        ("vga,xres", "'xres' needs a value: xres=N"),
        ("vga,zres=1", "'zres' means nothing here; give xres=N,yres=N"),
        ("vga,xres=640,xres=640,yres=480", "'xres' is there twice"),
    ] {
        assert_eq!(parsed(given), Err(format!("--display {given}: {why}")));
    }
    for (width, height) in
        [("1366", "768"), ("632", "480"), ("640", "479"), ("4088", "4088"), ("x", "480"), ("65536", "480")]
    {
        let error = parsed(&format!("vga,xres={width},yres={height}")).unwrap_err();
        assert!(error.contains("a multiple of 8"), "{error}");
    }
}

#[test]
fn a_server_is_where_it_is_asked_for() {
    let server = |text| DisplayConfig::parse(OsStr::new(text)).unwrap().unwrap().vnc;
    assert_eq!(server("vga"), None);
    let vnc = server("vnc=0.0.0.0:20,password-file=/p,xres=640,yres=480").unwrap();
    assert_eq!(vnc.place.to_string(), "vnc=0.0.0.0:20");
    assert_eq!(vnc.password_file, Some("/p".into()));
}
