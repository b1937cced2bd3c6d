//! The screen by VNC: the BIOS's text as seen by the tests' own viewer and by PyPI's vncdotool, and the server's address.

#[path = "support/control.rs"]
mod control;
#[path = "support/screen.rs"]
mod screen;
#[path = "support/mod.rs"]
mod support;
#[path = "support/viewer.rs"]
mod viewer;

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use control::Machine;
use screen::{Bios, Picture, no_bios};
use support::{no_kvm, nvmm};
use viewer::Viewer;

/// The beginning of SeaBIOS's banner, before its version: 17 characters of 9 by 16 pixels.
const BANNER: &[u8] = include_bytes!("pictures/seabios.png");

fn shows_banner(picture: &Picture) -> bool {
    (picture.width, picture.height) == (720, 400) && picture.has((0, 0), &Picture::read_png(BANNER))
}

#[test]
fn the_bioss_banner_is_seen() {
    if no_bios() {
        return;
    }
    let mut machine = Bios::start_with(&[], "vnc=unix:vnc");
    let path = machine.path("vnc");
    // It connects before there is a picture, and sees the size change.
    let mut early = Viewer::connect(&path);
    machine.prints("No bootable device.");
    early.until(shows_banner);
    assert_eq!(early.name, "nvmm");
    assert!(early.has_extended_keys);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut late = Viewer::connect(&path);
    late.until(shows_banner);
    let dump = machine.picture();
    late.until(|picture| picture.pixels == dump.pixels);

    // Both stay connected when the machine is reset.
    machine.ask(&["system_reset"]);
    machine.prints("No bootable device.");
    for viewer in [&mut early, &mut late] {
        viewer.until(shows_banner);
    }
    machine.ask(&["quit"]);
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    assert!(!path.exists());
    [early, late].into_iter().for_each(Viewer::until_closed);
}

#[test]
fn the_control_socket_describes_the_server() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &["--display", "vnc=unix:vnc", "--name", "a machine"]);
    machine.prints("spinning\n");
    let path = machine.folder.path().join("vnc");
    let text = machine.ask(&["info", "vnc"]);
    assert_eq!(text.replace('\r', ""), "default:\n  Server: :vnc (unix)\n    Auth: none (Sub: none)\n");
    let viewer = Viewer::connect(&path);
    assert_eq!(viewer.name, "a machine");
    let told: serde_json::Value = serde_json::from_str(&machine.ask(&["query-vnc"])).unwrap();
    assert_eq!(told["enabled"], true);
    assert_eq!(told["clients"].as_array().unwrap().len(), 1, "{told}");

    let mut without = Machine::start("spin", &["--display", "vga"]);
    without.prints("spinning\n");
    assert_eq!(without.ask(&["info", "vnc"]).trim(), "None");
}

#[test]
fn a_guest_reads_the_keys_of_viewers() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("keyboard", &["--display", "vnc=unix:vnc"]);
    machine.prints("ready\n");
    let path = machine.folder.path().join("vnc");
    let mut viewer = Viewer::connect(&path);
    // By scancode: Control, and the Up key of the cursor block.
    viewer.code(0x1d, true);
    viewer.code(0xc8, true);
    viewer.code(0xc8, false);
    machine.prints("1d\ne0\n48\ne0\nc8\n");
    // The server releases the keys of a viewer that disconnects.
    drop(viewer);
    machine.prints("9d\n");
    // By characters, which may need Shift; Esc ends the guest.
    let mut viewer = Viewer::connect(&path);
    for keysym in [u16::from(b'b'), u16::from(b'A'), 0xff1b] {
        viewer.types(keysym);
    }
    machine.prints("30\nb0\n2a\n1e\naa\n9e\n1\n81\n");
    assert_eq!(machine.nvmm.status_in_time(), Some(1));
}

#[test]
fn a_guest_gets_the_events_of_viewers_pointers() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("tablet", &["--display", "vnc=unix:vnc"]);
    machine.prints("ready\n");
    let path = machine.folder.path().join("vnc");
    let mut viewer = Viewer::connect(&path);
    viewer.pointer(1, 0, u16::MAX);
    machine.prints("3 0 0\n3 1 7fff\n1 110 1\n0 0 0\n");
    // A step of the wheel, and a viewer that disconnects and so releases its buttons.
    viewer.pointer(1 | 8, 0, u16::MAX);
    machine.prints("2 8 1\n0 0 0\n");
    drop(viewer);
    machine.prints("1 110 0\n0 0 0\n");
    let mut viewer = Viewer::connect(&path);
    for buttons in [4, 0] {
        viewer.pointer(buttons, 0, u16::MAX);
    }
    machine.prints("1 111 1\n0 0 0\n1 111 0\n");
    assert_eq!(machine.nvmm.status_in_time(), Some(1));
}

#[test]
fn a_display_in_use_is_an_error_that_names_another() {
    if no_kvm() {
        return;
    }
    let taken = std::iter::from_fn(|| TcpListener::bind("127.0.0.1:0").ok());
    let (port, _listener) = taken
        .take(1000)
        .map(|listener| (listener.local_addr().unwrap().port(), listener))
        .find(|(port, _)| *port >= 5900)
        .unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(support::guest("spin"));
    let output = command.args(["--display", &format!("vnc=:{}", port - 5900)]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("127.0.0.1:{port}: another program listens there")), "{message}");
    assert!(message.contains("is free, or add to=N"), "{message}");
}

#[test]
fn a_password_is_asked_for_and_a_place_for_all_is_warned_of() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "secret\n").unwrap();
    let output = |display: &str| {
        let mut command = nvmm();
        command.args(["--dry-run", "--kernel"]).arg(support::guest("spin"));
        command.args(["--display", display]).current_dir(folder.path()).output().unwrap()
    };
    let message = |display: &str| {
        let output = output(display);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (status, text) = message("vnc=0.0.0.0:0,password-file=password");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("other users can read or change the password") && !text.contains("whoever"),
        "{text}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(message("vnc=0.0.0.0:0,password-file=password"), (Some(0), String::new()));
    let (status, text) = message("vnc=0.0.0.0:0");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("vnc=0.0.0.0:0: without a password, whoever reaches that address"), "{text}");
    assert_eq!(message("vnc=:0"), (Some(0), String::new()));
    let (status, text) = message("vnc=:0,password-file=none");
    assert_eq!(status, Some(1));
    assert!(text.contains("--display password-file=none"), "{text}");
    let plan = String::from_utf8(output("vnc=:7,to=9").stdout).unwrap();
    assert!(plan.contains("viewers at vnc=127.0.0.1:7,to=9"), "{plan}");
}

/// Returns true if there is no vncdotool, and prints that the test is skipped, and why.
fn no_vncdotool() -> bool {
    let import = Command::new("python3").args(["-c", "import vncdotool"]).output();
    let is_there = import.is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: python3 has no vncdotool, which pip installs");
    }
    !is_there
}

#[test]
fn vncdotool_sees_the_same() {
    if no_bios() || no_vncdotool() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let display = format!("vnc=:100,to=59635,password-file={}", password.display());
    let mut machine = Bios::start_with(&[], &display);
    machine.prints("No bootable device.");
    let dump = machine.picture();
    let told: serde_json::Value = serde_json::from_str(&machine.told(&["query-vnc"])).unwrap();
    let server = format!("127.0.0.1::{}", told["service"].as_str().unwrap());
    let capture = |password: &str, name: &str| {
        let path = folder.path().join(name);
        let mut python = Command::new("python3");
        // Call its main function, as its script may not be in PATH.
        python.args(["-c", "from vncdotool.command import vncdo; vncdo()", "-s", &server, "-t", "60"]);
        python.args(["-p", password, "key", "shift-a", "capture"]).arg(&path);
        let mut child = python.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().success() && path.exists(), text, path)
    };
    let (success, text, path) = capture("secret", "a.png");
    assert!(success, "{text}");
    let picture = Picture::read_png(&fs::read(path).unwrap());
    assert_eq!((picture.width, picture.height), (720, 400));
    // The guest's cursor blinks, and takes one line.
    let differing = picture.pixels.iter().zip(&dump.pixels).filter(|(a, b)| a != b).count();
    assert!(differing <= 9 * 16, "{differing} pixels differ");
    assert!(!capture("wrong", "b.png").0);
}
