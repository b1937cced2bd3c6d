//! The screen: the BIOS's text, a mode that a boot loader sets, and one that a kernel finds, as `screendump` saves them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use control::{Machine, ctl};
use support::{Running, expect, no_kvm, nvmm};
use tempfile::TempDir;

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
const VGA_ROM: &str = "/usr/share/seabios/vgabios-stdvga.bin";
/// The status of a guest that ends with 21.
const DONE: Option<i32> = Some(21 << 1 | 1);

/// Says that a test is skipped, and why, where it can't run.
fn no_bios() -> bool {
    if !Path::new(SEABIOS).exists() || !Path::new(VGA_ROM).exists() {
        println!("skipped: no SeaBIOS (apt install seabios)");
        return true;
    }
    no_kvm()
}

/// A picture as a file has it.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PPM.
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        assert_eq!(lines.next(), Some(&b"P6"[..]));
        let size = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        assert_eq!(lines.next(), Some(&b"255"[..]));
        let pixels: Vec<_> = lines.next().unwrap().as_chunks::<3>().0.to_vec();
        assert_eq!(pixels.len(), width * height);
        Self { width, height, pixels }
    }

    fn pixel(&self, x: usize, y: usize) -> u32 {
        let [red, green, blue] = self.pixels[y * self.width + x];
        u32::from_be_bytes([0, red, green, blue])
    }

    /// The rows of characters of 9 by 16 pixels, read by a font of 32 bytes each. One that is not in the font, or has the cursor, is a question mark.
    fn text(&self, font: &[u8]) -> Vec<String> {
        let character = |row: usize, column: usize| {
            let lines: [u8; 16] = std::array::from_fn(|line| {
                let bit = |bit| u8::from(self.pixel(9 * column + bit, 16 * row + line) != 0) << (7 - bit);
                (0..8).map(bit).sum()
            });
            let found = (b' '..=b'~').find(|byte| font[usize::from(*byte) * 32..][..16] == lines);
            char::from(found.unwrap_or(b'?'))
        };
        let line = |row| (0..self.width / 9).map(|column| character(row, column)).collect::<String>();
        (0..self.height / 16).map(|row| line(row).trim_end().to_owned()).collect()
    }
}

/// A machine that SeaBIOS starts from a disk with this code in its boot sector.
struct Bios {
    nvmm: Running,
    folder: TempDir,
}

impl Bios {
    fn start(boot_sector: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut disk = vec![0; 1 << 20];
        disk[..boot_sector.len()].copy_from_slice(boot_sector);
        if !boot_sector.is_empty() {
            disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        fs::write(folder.path().join("a.img"), disk).unwrap();
        let mut command = nvmm();
        command.args(["--disk", "a.img", "--firmware", "bios", "--display", "vga", "--qmp", "qmp"]);
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { nvmm: Running::start(&mut command), folder }
    }

    /// Waits until the machine has written `text` to COM1.
    fn prints(&mut self, text: &str) {
        expect(self.nvmm.0.stdout.as_mut().unwrap(), text);
    }

    fn ask(&self, words: &[&str]) {
        let output = ctl(&self.folder.path().join("qmp"), words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn picture(&self) -> Picture {
        let path = self.path("a.ppm");
        self.ask(&["screendump", path.to_str().unwrap()]);
        Picture::read(&path)
    }

    /// The text of the picture, by the font where the BIOS has put it.
    fn text(&self) -> Vec<String> {
        let path = self.path("font");
        let filename = format!("filename={}", path.display());
        self.ask(&["pmemsave", "val=0xa0000", "size=8192", &filename]);
        let picture = self.picture();
        assert_eq!((picture.width, picture.height), (720, 400));
        picture.text(&fs::read(path).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

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
    // The page was written to before: the log has begun anew.
    for (byte, y) in [(b'a', 11), (b'b', 12)] {
        machine.nvmm.0.stdin.as_mut().unwrap().write_all(&[byte]).unwrap();
        expect(machine.nvmm.0.stdout.as_mut().unwrap(), "again\n");
        machine.ask(&["screendump", path.to_str().unwrap()]);
        assert_eq!(Picture::read(&path).pixel(1023, y), u32::from(byte));
    }
    // The other form, by the file's name, and from the folder where ctl runs.
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
