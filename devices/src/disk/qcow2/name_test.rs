use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::FileExt},
};

use super::{
    super::{
        super::{
            format::Format,
            image::{self, OpenOptions},
            info::look,
        },
        Overlay, Qcow2Options, grow,
        testing::*,
    },
    *,
};

#[test]
fn paths() {
    for (name, file) in [
        ("base.img", "base.img"),
        ("/a:b/base.img", "/a:b/base.img"),
        ("./a:b", "./a:b"),
        ("file:base.img", "base.img"),
        ("file:/base.img", "/base.img"),
    ] {
        assert_eq!(file_name(&name.into()), Ok(file.into()), "{name}");
    }
    assert_eq!(file_name(&b"b\xe4se".into()), Ok(b"b\xe4se".into()));
    for name in [
        "nbd:localhost:10809",
        "http://example.org/base",
        "nbd+unix:///x",
        "a b:c",
        ":a",
        "host_device:/dev/sda",
    ] {
        assert_eq!(file_name(&name.into()), Err(NotAFile::Protocol), "{name}");
    }
}

#[test]
fn objects_that_are_a_local_file() {
    for (object, format) in [
        (r#"{"driver":"qcow2","file":{"driver":"file","filename":"x"}}"#, Some("qcow2")),
        (r#"{"driver":"raw","file":{"filename":"x"}}"#, Some("raw")),
        (r#" {"file.filename": "x", "driver": "raw", "file.driver": "file"}"#, Some("raw")),
        (r#"{"file":{"driver":"file","filename":"x"}}"#, None),
    ] {
        let name = Untrusted::from(format!("json:{object}"));
        assert_eq!(file_name(&name), Ok("x".into()), "{object}");
        let backing =
            |recorded: Option<&str>| Backing { name: name.clone(), format: recorded.map(Into::into) };
        assert_eq!(backing(None).format(), format.map(Into::into), "{object}");
        // As in QEMU.
        assert_eq!(backing(Some("vmdk")).format(), Some("vmdk".into()), "{object}");
    }
}

#[test]
fn objects_that_are_something_else() {
    for (object, member) in [
        (r#"{"driver":"qcow2"}"#, "no file.filename"),
        (r#"{"driver":"raw","offset":512,"file":{"filename":"x"}}"#, "offset"),
        (r#"{"driver":"raw","file":{"driver":"nbd","filename":"x"}}"#, "file.driver"),
        (r#"{"driver":"raw","file":{"driver":"file","filename":"x","locking":"off"}}"#, "file.locking"),
        (r#"{"driver":"raw","file":"x"}"#, "file"),
        (r#"{"driver":"raw","file":{"file":{"filename":"x"}}}"#, "file.file"),
        (r#"{"driver":"file","filename":"x"}"#, "filename"),
        (r#"{"driver":1,"file.filename":"x"}"#, "driver"),
    ] {
        let refused = file_name(&format!("json:{object}").into());
        assert_eq!(refused, Err(NotAFile::Member(member.into())), "{object}");
    }
    for text in ["", "x", "[]", "{", "{}x", &"[".repeat(1000)] {
        assert_eq!(file_name(&format!("json:{text}").into()), Err(NotAFile::Json), "{text}");
    }
}

/// A name is a sequence of bytes: qemu-img follows it, and so does nvmm, which keeps it as the header grows.
#[test]
fn names_that_are_not_utf8() {
    let Some(images) = Images::new() else { return };
    let name = OsStr::from_bytes(b"b\xe4se, 1.img");
    fs::write(images.0.path().join(name), [7; 4096]).unwrap();
    let overlay = Overlay::File(images.path("top"));
    let options = OpenOptions { overlay: Some(overlay), format: Some(Format::Raw), ..OpenOptions::default() };
    for _ in 0..2 {
        let disk = image::open(&images.0.path().join(name), &options).unwrap().disk;
        assert_eq!(read(&*disk, 0, 512).unwrap(), [7; 512]);
        write(&*disk, 512, &[8; 512]).unwrap();
    }
    let found = look(&images.path("top"), &OpenOptions::default()).unwrap();
    assert!(found.wrong.is_none(), "{:?}", found.wrong);
    assert_eq!(found.links[1].path.file_name(), Some(name));
    let expected = [&[7; 512][..], &[8; 512], &[7; 3072]].concat();
    assert_eq!(images.raw("top"), expected);
    assert_eq!(read(&images.open("top", &Qcow2Options::default()), 0, 4096).unwrap(), expected);
    grow::grow(&images.path("top"), 8 << 20, None).unwrap();
    assert_eq!(images.raw("top")[..4096], expected);

    // The data file of an image.
    images.qemu_img("create -q -f qcow2 -o data_file=abcd image 1M");
    let data = OsStr::from_bytes(b"d\xe4ta");
    fs::rename(images.path("abcd"), images.0.path().join(data)).unwrap();
    let bytes = fs::read(images.path("image")).unwrap();
    let at = bytes.windows(4).position(|it| it == b"abcd").unwrap();
    let image = fs::OpenOptions::new().write(true).open(images.path("image")).unwrap();
    image.write_all_at(data.as_bytes(), at as u64).unwrap();
    write(&images.open("image", &Qcow2Options::default()), 0, &[3; 512]).unwrap();
    assert_eq!(fs::read(images.0.path().join(data)).unwrap()[..512], [3; 512]);
}

/// libvirt and others write names as JSON objects. Those that mean a local file are followed, under the rules for all names.
#[test]
fn json_names_of_local_files() {
    let Some(images) = Images::new() else { return };
    images.qemu_img("create -q -f qcow2 base 1M");
    images.qemu_write("base", 7, 0, 512);
    for name in [
        r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"base"}}"#,
        r#"json:{"file.filename":"base"}"#,
    ] {
        images.qemu_img(&format!("create -q -u -f qcow2 -F qcow2 -b {name} top 1M"));
        let expected = images.raw("top");
        assert_eq!(expected[..512], [7; 512]);
        assert!(read(&images.open("top", &READ_ONLY), 0, 1 << 20).unwrap() == expected);
        assert_eq!(look(&images.path("top"), &OpenOptions::default()).unwrap().links.len(), 2);
    }
    let elsewhere = r#"json:{"driver":"raw","file":{"filename":"/etc/hostname"}}"#;
    images.qemu_img(&format!("create -q -u -f qcow2 -F raw -b {elsewhere} top 1M"));
    let said = images.refusal("top", &READ_ONLY);
    assert!(said.contains("outside of the disk's folder"), "{said}");
}
