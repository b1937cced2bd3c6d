use std::{fs, io::Cursor};

use devices::display::Picture;
use png::Decoder;
use tempfile::TempDir;

use super::*;

/// A screen of two rows, the second of which is red.
#[derive(Debug)]
struct TwoRows;

impl Screen for TwoRows {
    fn look(&self, look: &mut dyn FnMut(&Picture)) {
        let mut picture = Picture::default();
        picture.begin(3, 2);
        picture.draw_row(1, &[0x00ff_0000; 3]);
        look(&picture);
    }
}

/// A screen that shows nothing.
#[derive(Debug)]
struct Off;

impl Screen for Off {
    fn look(&self, look: &mut dyn FnMut(&Picture)) {
        look(&Picture::default());
    }
}

const PIXELS: [u8; 18] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0];

#[test]
fn the_picture_is_in_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, "before").unwrap();
    let dump = Screendump { path: path.clone(), format: ImageFormat::Png };
    dump.write(Some(&TwoRows), &Taken::default()).unwrap();
    let mut reader = Decoder::new(Cursor::new(fs::read(&path).unwrap())).read_info().unwrap();
    let mut pixels = [1; PIXELS.len()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height, info.color_type), (3, 2, ColorType::Rgb));
    assert_eq!(pixels, PIXELS);

    let dump = Screendump { path: path.clone(), format: ImageFormat::Ppm };
    dump.write(Some(&TwoRows), &Taken::default()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [&b"P6\n3 2\n255\n"[..], &PIXELS].concat());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn without_a_picture_there_is_no_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let dump = Screendump { path: path.clone(), format: ImageFormat::Png };
    for (screen, why) in [
        (None, "the machine has no screen; start it with --display vga"),
        (Some(&Off as &dyn Screen), "the screen shows nothing yet"),
    ] {
        assert_eq!(dump.write(screen, &Taken::default()).unwrap_err().to_string(), why);
    }
    assert!(!path.exists());
}

#[test]
fn a_file_of_the_machine_is_not_written_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vmlinuz");
    fs::write(&path, "a kernel").unwrap();
    let mut taken = Taken::default();
    taken.add("--kernel", &path);
    let refused = |path: PathBuf| {
        let dump = Screendump { path, format: ImageFormat::Png };
        dump.write(Some(&TwoRows), &taken).unwrap_err().to_string()
    };
    assert!(refused(path.clone()).contains("a file of --kernel"));
    assert_eq!(fs::read(&path).unwrap(), b"a kernel");
    assert!(refused(PathBuf::from("/dev/null")).contains("no regular file"));
    assert!(refused(folder.path().join("none/a.png")).contains("none/a.png"));
}
