//! `<serial>` and `<console>`.

use std::collections::BTreeMap;

use super::{
    part::{
        COMMON, Part,
        Rule::{Idle, Refuse},
        Rules, shown,
    },
    reader::{Port, Reader, origin, path_part},
};

const OPTION: &str = "serial";

/// Kinds of places that nvmm lacks.
const PLACES: [(&str, &str); 9] = [
    ("dev", "nvmm connects no port to a device of the host; give type='pty', and connect that (`socat`)"),
    ("pipe", "nvmm has no pipes; give type='unix' or type='file'"),
    ("udp", "nvmm sends no console by UDP; give type='tcp'"),
    ("vc", "nvmm's screen shows no port; give type='pty'"),
    ("spicevmc", "nvmm has no SPICE; give type='pty' or type='unix'"),
    ("spiceport", "nvmm has no SPICE; give type='pty' or type='unix'"),
    ("dbus", "nvmm has no D-Bus; give type='unix'"),
    ("nmdm", "only bhyve has it; give type='pty'"),
    ("qemu-vdagent", "nvmm has no clipboard to share; take it out"),
];

const SOURCE: &Rules = &[
    ("seclabel", Idle("nvmm labels nothing")),
    ("reconnect", Idle("nvmm always connects again")),
    ("@channel", Refuse("nvmm has no SPICE; take it out")),
    ("@path", Idle("nvmm prints the name of the terminal that it gets")),
];

/// `<serial>`.
pub(super) fn read<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if !reader.is_replaced(OPTION, element) {
        add(reader, element);
    }
}

/// `<console>`. The first one may be the first `<serial>` by another name.
pub(super) fn console<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    if !reader.is_replaced(OPTION, element) {
        reader.consoles.push(element);
    }
}

fn add<'f, 'd>(reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let target = element.child("target");
    let number = target.and_then(|target| target.number("port"));
    if let Some(target) = target {
        match target.attribute("type") {
            None | Some("isa-serial" | "serial") => {}
            Some(_) => return target.refuse("nvmm's ports are COM1 to COM4; take the type out"),
        }
        if let Some(model) = target.child("model")
            && model.attribute("name").is_some_and(|name| name != "isa-serial")
        {
            return model.refuse("nvmm's ports are COM1 to COM4; take it out");
        }
    }
    element.rest(&[COMMON, &[("@tty", Idle("nvmm prints the name of the terminal that it gets"))]]);
    let Some(mut words) = place(element) else { return };
    if let Some(log) = element.child("log") {
        words.extend(log.needs("file").map(|file| format!(",log={}", path_part(file))));
        log.rest(&[&[("@append", Idle("nvmm writes a log anew"))]]);
    }
    reader.ports.push(Port { from: origin(element), number, words });
}

/// The value of `--serial` for a port.
fn place(element: Part<'_, '_>) -> Option<String> {
    let kind = element.attribute("type").unwrap_or("pty");
    if let Some((_, why)) = PLACES.iter().find(|(name, _)| *name == kind) {
        element.refuse(*why);
        return None;
    }
    let source = element.child("source");
    let words = match (kind, source) {
        ("pty" | "null" | "stdio", _) => Some(kind.to_owned()),
        ("file", Some(source)) => {
            let append = source.switch("append").unwrap_or(false);
            source
                .needs("path")
                .map(|path| format!("file={}{}", path_part(path), if append { ",append=on" } else { "" }))
        }
        ("unix", Some(source)) => {
            let serves = serves(source);
            source.needs("path").map(|path| format!("unix={}{serves}", path_part(path)))
        }
        ("tcp", Some(source)) => tcp(element, source),
        ("file" | "unix" | "tcp", None) => {
            element.refuse("it has no <source>; add one");
            None
        }
        _ => {
            element.refuse_attribute("type", "give pty, stdio, null, file, unix or tcp");
            None
        }
    };
    if let Some(source) = source {
        source.rest(&[SOURCE]);
    }
    words
}

fn serves(source: Part<'_, '_>) -> &'static str {
    source.choice("mode", &[("bind", ",server"), ("connect", "")]).unwrap_or_default()
}

fn tcp(element: Part<'_, '_>, source: Part<'_, '_>) -> Option<String> {
    let serves = serves(source);
    if source.switch("tls") == Some(true) {
        source.refuse_attribute("tls", "nvmm encrypts nothing; say tls='no', and have ssh or stunnel do it");
    }
    let host = source.attribute("host").unwrap_or_default();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let service = source.needs("service")?;
    let protocol = element.child("protocol").and_then(|protocol| {
        protocol.choice("type", &[("raw", ""), ("telnet", ",telnet=on")]).or_else(|| {
            protocol.refuse("give raw or telnet");
            None
        })
    });
    let address = format!("{host}:{service}").replace(',', ",,");
    Some(format!("tcp={address}{serves}{}", protocol.unwrap_or_default()))
}

/// Adds the options for all ports, after all consoles were read.
pub(super) fn finish(reader: &mut Reader<'_, '_>) {
    for (at, console) in std::mem::take(&mut reader.consoles).into_iter().enumerate() {
        let kind = console.child("target").and_then(|target| target.attribute("type")).unwrap_or("serial");
        match (kind, at) {
            ("serial", 0) if reader.ports.is_empty() => console.by(|| add(reader, console)),
            ("serial", 0) => {
                console.skip();
                console.idle("it is the first <serial>");
            }
            ("serial", _) => console.refuse("only the first one can be a serial port; make it a <serial>"),
            ("virtio", _) => console
                .refuse("nvmm has no virtio console; make it a <serial>, and say console=ttyS0 in the guest"),
            _ => console.refuse(format!("nvmm has no {} console; make it a <serial>", shown(kind))),
        }
    }
    let mut ports = std::mem::take(&mut reader.ports);
    let mut placed: BTreeMap<u64, Port> = BTreeMap::new();
    ports.sort_by_key(|port| port.number.unwrap_or(u64::MAX));
    for port in ports {
        let free = |number: &u64| !placed.contains_key(number);
        let number = port.number.filter(free).unwrap_or_else(|| (0..).find(free).unwrap_or_default());
        placed.insert(number, port);
    }
    let mut next = 0;
    for (number, port) in placed {
        // Add the ports before it. A machine has at most four; one more makes the option's own error.
        for _ in next..number.min(next + 4) {
            reader.emit_from(port.from.clone(), OPTION, "null".to_owned());
        }
        next = number + 1;
        reader.emit_from(port.from, OPTION, port.words);
    }
}
