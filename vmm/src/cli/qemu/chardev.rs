//! Character devices: `-serial`, `-chardev`, `-monitor` and `-qmp`.

use super::{
    given::Given,
    keys::{Keys, joined},
    translator::{Kind, Translator},
};

/// Added to the positions of ports that are devices, as the ports of `-serial` come first: COM1 and so on.
const LATER: usize = usize::MAX / 2;
const MONITOR: &str = "nvmm's monitor is on its control socket: say --qmp PATH; nvmm ctl PATH speaks to it, and nvmm ctl PATH info registers is the monitor's";

/// Keys of `-chardev` that nvmm fulfils in any case.
const IDLE: [(&str, &[&str]); 12] = [
    ("mux", &[]),
    ("signal", &[]),
    ("delay", &["off"]),
    ("nodelay", &["on"]),
    ("reconnect", &[]),
    ("reconnect-ms", &[]),
    ("ipv4", &["on"]),
    ("ipv6", &["on"]),
    ("abstract", &["off"]),
    ("tight", &[]),
    ("websocket", &["off"]),
    ("logappend", &["off"]),
];

/// `-chardev`.
pub(super) fn define(translator: &mut Translator, given: &Given) -> Result<(), String> {
    translator.define(Kind::Chardev, given, given.keys("backend")?)
}

/// `-serial`, which is also an option of nvmm.
pub(super) fn serial(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.text().strip_prefix("chardev:") {
        Some(id) => {
            let value = place(translator, given, id)?;
            translator.emit(given, "--serial", Some(joined([value.as_str()])));
        }
        None if given.first() == "vc" || given.first().starts_with("vc:") => {
            return Err("nvmm has no text consoles on a screen; give stdio, pty or null".to_owned());
        }
        None => translator.pass(given, "--serial"),
    }
    Ok(())
}

/// `-device isa-serial`.
pub(super) fn isa_serial(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("driver")?;
    keys.take("driver");
    let id = keys.take("chardev").ok_or("it needs chardev=ID, and a -chardev with that id")?;
    let idle = keys.take_idle(&[("id", &[]), ("index", &[]), ("bus", &[])]);
    translator.idle_keys(given, &idle);
    keys.end()?;
    let value = place(translator, given, &id)?;
    translator.emit_at(
        LATER.saturating_add(given.at),
        &given.to_string(),
        "--serial",
        Some(joined([value.as_str()])),
    );
    Ok(())
}

/// `-monitor`.
pub(super) fn monitor(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let text = given.text();
    match text.strip_prefix("chardev:") {
        Some(id) => shared_monitor(translator, given, id),
        None if ["none", "null", "vc"].contains(&text.split(':').next().unwrap_or_default()) => {
            translator.idle(given, "nvmm has a monitor only where --qmp puts it");
            Ok(())
        }
        None => Err(MONITOR.to_owned()),
    }
}

/// `-mon`.
pub(super) fn mon(translator: &mut Translator, given: &Given) -> Result<(), String> {
    let mut keys = given.keys("chardev")?;
    let id = keys.take("chardev").ok_or("it needs chardev=ID")?;
    let idle = keys.take_idle(&[("pretty", &[]), ("id", &[])]);
    let mode = keys.take("mode");
    keys.end()?;
    translator.idle_keys(given, &idle);
    match mode.as_deref() {
        Some("control") => control(translator, given, &id),
        None | Some("readline") => shared_monitor(translator, given, &id),
        Some(other) => Err(format!("mode={other}: give control or readline")),
    }
}

/// `-qmp`, which is also an option of nvmm.
pub(super) fn qmp(translator: &mut Translator, given: &Given) -> Result<(), String> {
    match given.text().strip_prefix("chardev:") {
        Some(id) => control(translator, given, id),
        None => {
            translator.pass(given, "--qmp");
            Ok(())
        }
    }
}

/// A human monitor that shares the terminal with a serial port.
fn shared_monitor(translator: &mut Translator, given: &Given, id: &str) -> Result<(), String> {
    let keys = translator.refer(Kind::Chardev, id)?.keys;
    if keys.get("mux") == Some("on") || keys.get("backend") == Some("null") {
        translator.idle(
            given,
            "nvmm has a monitor only where --qmp puts it; Ctrl-A h on the terminal tells what it has there",
        );
        return Ok(());
    }
    Err(MONITOR.to_owned())
}

fn control(translator: &mut Translator, given: &Given, id: &str) -> Result<(), String> {
    let part = translator.refer(Kind::Chardev, id)?;
    let mut keys = part.keys;
    let is_socket = keys.take("backend").as_deref() == Some("socket");
    let path = keys.take("path").filter(|_| is_socket).ok_or(
        "nvmm's control socket is a unix socket; give -chardev socket,path=PATH,server=on,wait=off, or say --qmp PATH",
    )?;
    let server = keys.switch(&["server"])?.unwrap_or(false);
    let wait = keys.switch(&["wait"])?.unwrap_or(true);
    if !server || wait {
        return Err(
            "nvmm makes the control socket, and waits for no client; give server=on,wait=off".to_owned()
        );
    }
    let idle = keys.take_idle(&IDLE);
    translator.idle_keys(&part.given, &idle);
    keys.end()?;
    translator.emit(given, "--qmp", Some(joined([path.as_str()])));
    Ok(())
}

/// The value of `--serial` for a `-chardev`.
fn place(translator: &mut Translator, given: &Given, id: &str) -> Result<String, String> {
    if id.is_empty() {
        return Err("the id of a -chardev is missing".to_owned());
    }
    let part = translator.refer(Kind::Chardev, id)?;
    let mut keys = part.keys;
    let in_part =
        |why: String| if part.given.at == given.at { why } else { format!("{}: {why}", part.given) };
    let mut value = words_of(&mut keys).map_err(in_part)?;
    if let Some(log) = keys.take("logfile") {
        value.push_str(&format!(",log={log}"));
    }
    let idle = keys.take_idle(&IDLE);
    translator.idle_keys(&part.given, &idle);
    keys.end().map_err(in_part)?;
    Ok(value)
}

fn words_of(keys: &mut Keys) -> Result<String, String> {
    let backend = keys.take("backend").unwrap_or_default();
    let path = |keys: &mut Keys| keys.take("path").filter(|path| !path.is_empty());
    match backend.as_str() {
        "stdio" | "null" => Ok(backend),
        "pty" => Ok(path(keys).map_or(backend, |link| format!("pty={link}"))),
        "file" => {
            let path = path(keys).ok_or("it needs path=FILE")?;
            let append = if keys.switch(&["append"])? == Some(true) { ",append=on" } else { "" };
            Ok(format!("file={path}{append}"))
        }
        "socket" => socket(keys),
        "vc" | "ringbuf" | "udp" | "pipe" | "serial" | "tty" | "parallel" | "parport" | "msmouse"
        | "braille" | "spicevmc" | "spiceport" | "dbus" => {
            Err(format!("nvmm has no {backend}; give stdio, pty, file, socket or null"))
        }
        _ => Err("give stdio, pty, file, socket or null, and then id=ID".to_owned()),
    }
}

fn socket(keys: &mut Keys) -> Result<String, String> {
    let address = match keys.take("path") {
        Some(path) => format!("unix={path}"),
        None => {
            let port = keys.take("port").ok_or("it needs path=PATH, or host=HOST,port=PORT")?;
            let host = keys.take("host").unwrap_or_default();
            // An IPv6 address needs brackets beside a port.
            let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
            format!("tcp={host}:{port}")
        }
    };
    let server = keys.switch(&["server"])?.unwrap_or(false);
    let wait = keys.switch(&["wait"])?;
    let telnet = if keys.switch(&["telnet"])? == Some(true) { ",telnet=on" } else { "" };
    let server = match (server, wait) {
        (false, _) => "",
        (true, Some(false)) => ",server",
        // QEMU's servers wait for a client by default.
        (true, _) => ",server,wait",
    };
    Ok(format!("{address}{server}{telnet}"))
}
