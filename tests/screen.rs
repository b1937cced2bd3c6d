//! The screen: the BIOS's text, a mode set by a boot loader, and a mode found by a kernel, as `screendump` saves them.

#[path = "support/control.rs"]
mod control;
#[path = "support/screen.rs"]
mod screen;
#[path = "support/mod.rs"]
mod support;

use std::{fs, io::Write};

use control::{Machine, ctl};
use screen::{Bios, Picture, no_bios};
use support::{expect, no_kvm, nvmm};

/// nvmm's status if the guest ends with 21.
const DONE: Option<i32> = Some(21 << 1 | 1);

#[test]
fn the_bioss_messages_are_on_the_screen() {
    if no_bios() {
        return;
    }
    let mut machine = Bios::start(&[]);
    machine.prints("No bootable device.");
    let text = machine.text();
    assert!(text[0].starts_with("SeaBIOS (version "), "{text:#?}");
    for expected in ["Booting from Hard Disk...", "Boot failed: not a bootable disk"] {
        assert!(text.iter().any(|line| line == expected), "{text:#?}");
    }
    // The cursor is below them, and everything else is empty.
    let last = text.iter().rposition(|line| !line.is_empty()).unwrap();
    assert!(last < 12, "{text:#?}");
}

#[test]
fn a_boot_sector_writes_text_by_the_bios() {
    if no_bios() {
        return;
    }
    // cli; xor ax, ax; mov ds, ax; mov ax, 0x0003; int 0x10; mov si, 0x7c40; next: lodsb; test al, al; jz done; mov ah, 0x0e;
    // mov bx, 7; int 0x10; jmp next; done: mov dx, 0x3f8; mov al, '#'; out dx, al; hlt; jmp $ - 1
    let mut code = vec![0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xb8, 0x03, 0x00, 0xcd, 0x10, 0xbe, 0x40, 0x7c];
    code.extend([0xac, 0x84, 0xc0, 0x74, 0x09, 0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10, 0xeb, 0xf2]);
    code.extend([0xba, 0xf8, 0x03, 0xb0, b'#', 0xee, 0xf4, 0xeb, 0xfd]);
    code.resize(0x40, 0x90);
    code.extend(b"Hello, VGA!\0");
    let mut machine = Bios::start(&code);
    machine.prints("#");
    assert_eq!(machine.text()[0], "Hello, VGA!?", "and the cursor behind it");
}

#[test]
fn a_boot_loader_sets_a_linear_mode() {
    if no_bios() {
        return;
    }
    // xor ax, ax; mov ds, ax; mov es, ax. VBE mode 142H, 640x480 of 32 bits, linear: mov ax, 0x4f02; mov bx, 0x4142; int 0x10.
    let mut code = vec![0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0xb8, 0x02, 0x4f, 0xbb, 0x42, 0x41, 0xcd, 0x10];
    // Its frame buffer: mov ax, 0x4f01; mov cx, 0x142; mov di, 0x8000; int 0x10.
    code.extend([0xb8, 0x01, 0x4f, 0xb9, 0x42, 0x01, 0xbf, 0x00, 0x80, 0xcd, 0x10]);
    // DS of 4 GiB: cli; lgdt [0x7c60]; mov eax, cr0; or al, 1; mov cr0, eax; mov ax, 8; mov ds, ax.
    code.extend([0xfa, 0x0f, 0x01, 0x16, 0x60, 0x7c]);
    code.extend([0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xb8, 0x08, 0x00, 0x8e, 0xd8]);
    // mov ebx, [0x8028]; mov dword [ebx], 0x123456; mov dx, 0x3f8; mov al, '#'; out dx, al; hlt; jmp $ - 1.
    code.extend([0x66, 0x8b, 0x1e, 0x28, 0x80, 0x67, 0x66, 0xc7, 0x03, 0x56, 0x34, 0x12, 0x00]);
    code.extend([0xba, 0xf8, 0x03, 0xb0, b'#', 0xee, 0xf4, 0xeb, 0xfd]);
    code.resize(0x60, 0x90);
    code.extend([0x0f, 0x00, 0x68, 0x7c, 0, 0, 0, 0]);
    code.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
    let mut machine = Bios::start(&code);
    machine.prints("#");
    let picture = machine.picture();
    assert_eq!((picture.width, picture.height), (640, 480));
    assert_eq!([picture.pixel(0, 0), picture.pixel(1, 0), picture.pixel(0, 1)], [0x0012_3456, 0, 0]);
}

#[test]
fn a_kernel_finds_a_frame_buffer_and_what_it_draws_is_seen() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("framebuffer", &["--display", "vga,xres=1024,yres=768"]);
    machine.prints("70 400 300 20\n");
    machine.prints("drawn\n");
    let path = machine.folder.path().join("a.ppm");
    let picture = || {
        machine.ask(&["screendump", path.to_str().unwrap()]);
        Picture::read(&path)
    };
    let first = picture();
    assert_eq!((first.width, first.height), (1024, 768));
    let row = |y| [first.pixel(0, y), first.pixel(1023, y)];
    assert_eq!([row(9), row(10), row(11)], [[0; 2], [0x0012_3456; 2], [0; 2]]);
    // The page was written to before, so this also checks that the log starts anew.
    for (byte, y) in [(b'a', 11), (b'b', 12)] {
        machine.nvmm.0.stdin.as_mut().unwrap().write_all(&[byte]).unwrap();
        expect(machine.nvmm.0.stdout.as_mut().unwrap(), "again\n");
        machine.ask(&["screendump", path.to_str().unwrap()]);
        assert_eq!(Picture::read(&path).pixel(1023, y), u32::from(byte));
    }
    // The other format, chosen by the file's name, and relative to the directory where ctl runs.
    let output =
        ctl(&machine.socket, &["screendump", "b.png"]).current_dir(machine.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(machine.folder.path().join("b.png")).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    machine.nvmm.0.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    assert_eq!(machine.nvmm.status_in_time(), DONE);
}

#[test]
fn without_a_screen_there_is_no_vga() {
    if no_kvm() {
        return;
    }
    let output = support::run("framebuffer", &[]);
    assert_eq!(output.status.code(), DONE);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 0 0 0\nff\n");
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let output = machine.ctl(&["screendump", "a.png"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("the machine has no screen; start it with --display vga"), "{message}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_dry_run_shows_the_screen() {
    if no_bios() {
        return;
    }
    for (options, is_there) in
        [(&["--display", "vga"][..], true), (&["--display", "none"], false), (&[], false)]
    {
        let mut command = nvmm();
        command.args(["--dry-run", "--firmware", "bios"]).args(options);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in ["VGA [1234:1111]", "BAR 0 (16 MiB) BAR 2 (4 KiB)", "port 0x3c0"] {
            assert_eq!(text.contains(line), is_there, "{line} in\n{text}");
        }
    }
}
