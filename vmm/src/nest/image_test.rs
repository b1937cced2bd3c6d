use std::io::{Read, Seek};

use super::*;

fn manifest() -> Manifest {
    Manifest {
        levels: 2,
        cmdline: "mitigations=off".into(),
        first_cmdline: "tsc=reliable".into(),
        files: vec!["tool".into()],
        virtio: vec!["virtio".into(), "virtio_blk".into()],
        kvm: vec!["kvm".into()],
        ..Manifest::default()
    }
}

#[test]
fn the_image_holds_what_the_manifest_names() {
    let mut asked = Vec::new();
    let mut memfd = pack(&manifest(), |name| {
        asked.push(name.to_owned());
        Ok(format!("contents of {name}").into_bytes())
    })
    .unwrap();
    let want = [
        "init",
        "nest/vmlinuz",
        "tool",
        "nest/modules/virtio.ko",
        "nest/modules/virtio_blk.ko",
        "nest/modules/kvm.ko",
    ];
    assert_eq!(asked, want);
    memfd.0.rewind().unwrap();
    let mut image = Vec::new();
    memfd.0.read_to_end(&mut image).unwrap();
    let text = String::from_utf8_lossy(&image);
    for name in want {
        assert!(
            text.contains(&format!("{name}\0")) && text.contains(&format!("contents of {name}")),
            "{name}"
        );
    }
    assert!(text.contains(&serde_json::to_string(&manifest()).unwrap()));
    assert_eq!(std::fs::read(memfd.path()).unwrap(), image);
}

#[test]
fn unreadable_files_fail_the_image() {
    let error = pack(&manifest(), |name| anyhow::bail!("no {name}")).unwrap_err();
    assert_eq!(format!("{error:#}"), "making the initramfs: no init");
}

#[test]
fn a_file_can_come_after_the_archive() {
    for padding in 0..4 {
        let image = Memfd::new(c"test").unwrap();
        (&image.0).write_all(&vec![b'x'; 4 + padding]).unwrap();
        append(&image, "promise", b"kept").unwrap();
        let data = std::fs::read(image.path()).unwrap();
        let start = (4 + padding).next_multiple_of(4);
        assert!(data[start..].starts_with(b"070701"), "{padding}");
        let text = String::from_utf8_lossy(&data);
        assert!(text.contains("promise\0") && text.contains("kept") && text.contains("TRAILER!!!"));
    }
}

#[test]
fn the_last_level_alone_unpacks_the_user_s_files() {
    let manifest = Manifest { files: vec!["tool".into(), FILES.into()], ..manifest() };
    let packed = |level| {
        let image = pack(&manifest.at(level), |name| Ok(name.as_bytes().to_vec())).unwrap();
        std::fs::read(image.path()).unwrap()
    };
    let has =
        |image: &[u8]| image.windows(FILES.len() + 1).any(|name| name == [FILES.as_bytes(), b"\0"].concat());
    assert_eq!([0, 1, 2].map(|level| has(&packed(level))), [true, true, false]);
    let archive = Memfd::new(c"test").unwrap();
    append(&archive, "exec", b"the program").unwrap();
    for padding in 0..4 {
        let image = Memfd::new(c"test").unwrap();
        (&image.0).write_all(&vec![b'x'; 4 + padding]).unwrap();
        append_archive(&image, &archive.path()).unwrap();
        let data = std::fs::read(image.path()).unwrap();
        assert_eq!(&data[(4 + padding).next_multiple_of(4)..], std::fs::read(archive.path()).unwrap());
    }
}
