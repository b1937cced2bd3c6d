use std::os::unix::ffi::OsStrExt;

use super::*;

#[track_caller]
fn parse(given: &str) -> SerialConfig {
    SerialConfig::parse(given.as_ref()).unwrap()
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

fn server(address: Address, wait: bool, telnet: bool) -> SerialConfig {
    SerialConfig::new(Place::Server { address, options: ServerOptions { wait, telnet } })
}

fn client(address: Address, telnet: bool) -> SerialConfig {
    SerialConfig::new(Place::Client { address, telnet })
}

fn file(path: &str, append: bool) -> SerialConfig {
    SerialConfig::new(Place::File { path: path.into(), append })
}

fn pty(link: Option<&str>) -> SerialConfig {
    SerialConfig::new(Place::Pty { link: link.map(Into::into) })
}

#[test]
fn nvmms_words() {
    let unix = |path: &str| Address::Unix(path.into());
    for (given, expected) in [
        ("stdio", SerialConfig::new(Place::Stdio)),
        ("null", SerialConfig::new(Place::Null)),
        ("file=out", file("out", false)),
        ("file=out,append=on", file("out", true)),
        ("file=a=b:c", file("a=b:c", false)),
        ("pty", pty(None)),
        ("pty=/run/com2", pty(Some("/run/com2"))),
        ("tcp=127.0.0.1:4444", client(tcp("127.0.0.1", 4444), false)),
        ("tcp=[::1]:4444,telnet=on", client(tcp("::1", 4444), true)),
        ("tcp=:4444,server", server(tcp("127.0.0.1", 4444), false, false)),
        ("tcp=0.0.0.0:0,server,wait", server(tcp("0.0.0.0", 0), true, false)),
        ("tcp=localhost:4444,server,telnet=on", server(tcp("localhost", 4444), false, true)),
        ("unix=/run/com1,server", server(unix("/run/com1"), false, false)),
        ("unix=a:b=c", client(unix("a:b=c"), false)),
    ] {
        assert_eq!(parse(given), expected, "{given}");
        assert_eq!(
            parse(&expected.to_string()),
            expected,
            "{given} is printed so that it can be given again"
        );
        let logged = SerialConfig { log: Some("log,file".into()), ..expected };
        assert_eq!(parse(&format!("{given},log=log,,file")), logged);
        assert_eq!(parse(&logged.to_string()), logged);
    }
}

#[test]
fn qemus_words() {
    let unix = |path: &str| Address::Unix(path.into());
    for (given, expected) in [
        ("mon:stdio", SerialConfig::new(Place::Stdio)),
        ("none", SerialConfig::new(Place::Null)),
        ("file:out", file("out", false)),
        ("pty:/run/com2", pty(Some("/run/com2"))),
        ("tcp:host:4444", client(tcp("host", 4444), false)),
        ("tcp::4444,server", server(tcp("127.0.0.1", 4444), true, false)),
        ("tcp::4444,server,nowait", server(tcp("127.0.0.1", 4444), false, false)),
        ("tcp::4444,server=on,nowait,wait=off", server(tcp("127.0.0.1", 4444), false, false)),
        ("tcp::4444,server,nowait=off,wait", server(tcp("127.0.0.1", 4444), true, false)),
        ("tcp::4444,server=on,wait=off", server(tcp("127.0.0.1", 4444), false, false)),
        ("tcp::4444,server=on,wait=on,nodelay=on", server(tcp("127.0.0.1", 4444), true, false)),
        ("tcp:host:4444,server=off,nodelay", client(tcp("host", 4444), false)),
        ("telnet:0.0.0.0:4444,server,nowait", server(tcp("0.0.0.0", 4444), false, true)),
        ("unix:/run/com1,server", server(unix("/run/com1"), true, false)),
        ("unix:/run/com1,server,nowait", server(unix("/run/com1"), false, false)),
        ("unix:/run/com1", client(unix("/run/com1"), false)),
    ] {
        assert_eq!(parse(given), expected, "{given}");
    }
}

#[test]
fn a_path_can_be_any_bytes_and_have_commas() {
    let given = OsStr::from_bytes(b"unix=/run/\xff,,x,server");
    let Place::Server { address: Address::Unix(path), .. } = SerialConfig::parse(given).unwrap().place else {
        panic!("no unix server")
    };
    assert_eq!(path.as_os_str().as_bytes(), b"/run/\xff,x");
    assert_eq!(parse("file=a,,append=on"), file("a,append=on", false));
}

#[test]
fn invalid_options_are_named_with_valid_ones() {
    for (given, why) in [
        ("", PLACES),
        ("tty", PLACES),
        ("stdio=x", PLACES),
        ("vc", PLACES),
        ("/dev/ttyS0", "to write to that file or device, give file=/dev/ttyS0"),
        ("./a,,b", "to write to that file or device, give file=./a,,b"),
        ("chardev:com1", "nvmm has no character devices with ids; "),
        ("telnet=:4444", "give tcp=HOST:PORT,telnet=on"),
        ("file", "give file=PATH"),
        ("tcp", "give tcp=HOST:PORT"),
        ("unix,server", "give unix=PATH"),
        ("file=", "the path is missing"),
        ("unix:,server", "the path is missing"),
        ("pty=", "the path is missing"),
        ("null,log=", "the path is missing"),
        ("null,log", "'log' needs a value: log=FILE"),
        ("tcp=4444", "give HOST:PORT, such as 127.0.0.1:4444 or [::1]:4444"),
        ("tcp=::1:4444", "give HOST:PORT, such as 127.0.0.1:4444 or [::1]:4444"),
        ("tcp=host:", "give a port from 1 to 65535"),
        ("tcp=host:65536,server", "give a port from 1 to 65535, or 0 for one that is free"),
        ("tcp=host:0", "give a port from 1 to 65535"),
        ("tcp=host:1,wait", "only a server waits for its peer"),
        ("unix=a,nowait", "only a server waits for its peer"),
        ("tcp=:1,server,wait,nowait", "wait and nowait contradict each other"),
        ("tcp=:1,server,wait=off,nowait=off", "wait and nowait contradict each other"),
        ("null,logfile=x", "'logfile' means nothing here; give log=FILE"),
        ("tcp=:1,server=maybe", "'server=maybe': give server=on or server=off"),
        ("tcp=:1,server,server", "'server' is there twice"),
        ("tcp=:1,reconnect-ms=100", "leave 'reconnect-ms' out; nvmm always connects again"),
        ("tcp=:1,nodelay=off", "nodelay=off can't be had"),
        ("tcp=:1,colour=red", "'colour' means nothing here; give server, wait, telnet=on or log=FILE;"),
        ("unix=a,telnet=on", "'telnet' means nothing here; give server, wait or log=FILE;"),
        (
            "file=a,b",
            "'b' means nothing here; give append=on or log=FILE; a comma in a path is written twice",
        ),
        ("stdio,server", "'server' means nothing here; give log=FILE;"),
    ] {
        let error = SerialConfig::parse(given.as_ref()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--serial {given}: {why}")), "{error}");
    }
}

#[test]
fn there_are_four_ports_and_one_terminal() {
    let check = |given: &[&str]| ports(given, false).map_err(|error| error.to_string());
    check(&["null", "null", "stdio", "pty"]).unwrap();
    let error = check(&["null", "pty", "stdio", "pty", "file=x"]).unwrap_err();
    assert!(error.starts_with("--serial file=x: that is one too many"), "{error}");
    let error = check(&["stdio", "null", "mon:stdio"]).unwrap_err();
    assert!(error.starts_with("--serial mon:stdio: another serial port is there already"), "{error}");
    ports(&["null", "pty"], true).unwrap();
    let error = ports(&["null", "mon:stdio"], true).unwrap_err().to_string();
    assert!(error.starts_with("--serial mon:stdio: with --daemonize there is no terminal"), "{error}");
}
