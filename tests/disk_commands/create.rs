//! `nvmm disk create` and `nvmm disk resize`.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use crate::images::{Images, MIB};

#[test]
fn created_images_hold_zeros_or_their_base() {
    let Some(images) = Images::new() else { return };
    images.prints("create raw 10M");
    assert_eq!((fs::read(images.path("raw")).unwrap(), images.allocated("raw")), (vec![0; 10 << 20], 0));
    images.prints("create -f qcow2 --cluster-size 4K small.qcow2 1G");
    images.sound("small.qcow2");
    let said = images.qemu_img("info small.qcow2");
    assert!(said.contains("cluster_size: 4096") && said.contains("(1073741824 bytes)"), "{said}");

    images.raw("disk", 48 * MIB + 512);
    for base in images.of_every_kind("disk") {
        let format = if base.ends_with("vmdk") {
            "vmdk"
        } else if base == "disk" {
            "raw"
        } else {
            "qcow2"
        };
        images.prints(&format!("create -f qcow2 -b {base} -F {format} over.qcow2"));
        images.sound("over.qcow2");
        images.qemu_img(&format!("compare -f {format} -F qcow2 {base} over.qcow2"));
        let text = images.prints("info over.qcow2");
        assert!(text.contains(&format!("base          {base}, {format}\n")), "{text}");
        fs::remove_file(images.path("over.qcow2")).unwrap();
    }
    // Larger than its base.
    images.prints("create -f qcow2 -b disk -F raw larger.qcow2 1G");
    images.prints("convert larger.qcow2 whole");
    images.same_as_qemu_img("larger.qcow2", "whole");
}

#[test]
fn images_grow_with_zeros() {
    let Some(images) = Images::new() else { return };
    images.raw("raw", 48 * MIB + 512);
    images.qemu_img("convert -t unsafe -f raw -O qcow2 -o compat=0.10 raw v2.qcow2");
    images.qemu_img("convert -t unsafe -f raw -O qcow2 raw v3.qcow2");
    images.qemu_img("create -f qcow2 -b v3.qcow2 -F qcow2 over.qcow2 20M");
    let mut over = fs::read(images.path("raw")).unwrap();
    over.truncate(20 << 20);
    over.resize(100 << 20, 0);
    for (size, bytes) in [("99M", 99 * MIB), ("100M", 100 * MIB)] {
        for name in ["raw", "v2.qcow2", "v3.qcow2", "over.qcow2"] {
            images.prints(&format!("resize {name} {size}"));
        }
        assert_eq!(fs::metadata(images.path("raw")).unwrap().len(), bytes);
    }
    for name in ["v2.qcow2", "v3.qcow2"] {
        images.sound(name);
        images.qemu_img(&format!("compare -f raw -F qcow2 raw {name}"));
    }
    images.sound("over.qcow2");
    images.prints("convert over.qcow2 whole");
    assert!(fs::read(images.path("whole")).unwrap() == over);

    images.prints("resize raw +1M");
    assert_eq!(fs::metadata(images.path("raw")).unwrap().len(), 101 * MIB);
    for name in ["raw", "v3.qcow2"] {
        images.refused(
            &format!("resize {name} 10M"),
            1,
            &["would cut off its end", "qemu-img resize --shrink"],
        );
        images.refused(&format!("resize {name} +5"), 1, &["a multiple of 512"]);
    }
    images.qemu_img("create -f vmdk disk.vmdk 10M");
    images.refused("resize disk.vmdk 20M", 1, &["disk.vmdk is a vmdk", "nvmm disk convert"]);
    images.refused("resize -f qcow2 raw 200M", 1, &["doesn't begin as qcow2 images do"]);
    images.refused("resize none 200M", 1, &["disk none does not exist"]);
    images.refused("resize /dev/null 200M", 1, &["/dev/null is neither a file nor a block device"]);
}

#[test]
fn bases_elsewhere() {
    let Some(images) = Images::new() else { return };
    for folder in ["bases", "tops"] {
        fs::create_dir(images.path(folder)).unwrap();
    }
    images.prints("create bases/base 10M");
    let missing = "create -f qcow2 -b bases/base -F raw tops/top.qcow2";
    images.refused(missing, 1, &["the base bases/base is not in tops", "a whole path"]);
    let output = images.disk("create -f qcow2 -b ../bases/base -F raw tops/top.qcow2");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
    let folder = fs::canonicalize(images.path("bases")).unwrap();
    assert!(stderr.ends_with(&format!("with backing-root={}\n", folder.display())), "{stderr}");
    assert_eq!(images.disk("info tops/top.qcow2").status.code(), Some(1));
    images.prints("info --backing-root bases tops/top.qcow2");
    images.refused("convert tops/top.qcow2 copy", 1, &["outside of the disk's folder"]);
    images.prints("convert --backing-root bases tops/top.qcow2 copy");
    // A base in or below the overlay's folder needs no option.
    images.prints("create -f qcow2 -b bases/base -F raw top.qcow2");
}

/// Names on the command line and in the image are bytes.
#[test]
fn a_base_whose_name_is_not_utf8() {
    let Some(images) = Images::new() else { return };
    let name = OsStr::from_bytes(b"b\xe4se.img");
    fs::write(images.0.path().join(name), [7; 512]).unwrap();
    let output = images.command("create -f qcow2 top -F raw -b").arg(name).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let said = images.prints("info top");
    assert!(said.contains("base          b\\xe4se.img, raw\n"), "{said}");
    images.qemu_img("convert -f qcow2 -O raw top out");
    assert_eq!(fs::read(images.path("out")).unwrap(), [7; 512]);
    let json: serde_json::Value = serde_json::from_str(&images.prints("info --json top")).unwrap();
    assert_eq!(json["chain"][0]["qcow2"]["backing_file"], "b\u{fffd}se.img");
}

/// A colon doesn't end a protocol's name here, and the text after it is not another file.
#[test]
fn a_base_with_a_colon_in_its_name() {
    let Some(images) = Images::new() else { return };
    fs::write(images.path("base"), [1; 512]).unwrap();
    for (number, name) in ["file:base", "a:b", "json:{}"].into_iter().enumerate() {
        fs::write(images.path(name), [7; 512]).unwrap();
        let (top, out) = (format!("top{number}"), format!("out{number}"));
        images.prints(&format!("create -f qcow2 {top} -F raw -b {name}"));
        images.qemu_img(&format!("convert -f qcow2 -O raw {top} {out}.qemu"));
        images.prints(&format!("convert {top} {out}"));
        for copy in [out.clone(), format!("{out}.qemu")] {
            assert_eq!(fs::read(images.path(&copy)).unwrap(), [7; 512], "{name}");
        }
    }
}
