use std::os::unix::fs::symlink;

use clap::Parser;
use devices::disk::{
    format::Format,
    qcow2::create::{CreateOptions, create},
    raw::{DiskOptions, RawDisk},
};
use tempfile::TempDir;

use super::*;
use crate::{board::disk::OpenDisk, cli::Cli};

/// A directory with a kernel, an initramfs, and disks: raw, a qcow2 image over another, one under an overlay, and a vmdk.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        for name in ["kernel", "initrd", "random", "oem", "raw", "base", "low", "disk-flat.vmdk", "free"] {
            fs::write(folder.at(name), [7; 4096]).unwrap();
        }
        fs::write(folder.at("cpu.xml"), "<cpu mode='host-passthrough'/>").unwrap();
        for (image, base) in [("top", "base"), ("over", "low")] {
            let backing = Some((base.into(), Format::Raw));
            create(&folder.at(image), 4096, &CreateOptions { backing, ..CreateOptions::default() }).unwrap();
        }
        let text = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
                    RW 8 FLAT \"disk-flat.vmdk\" 0\n";
        fs::write(folder.at("disk.vmdk"), text).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> VmConfig {
        let path = |name: &str| self.at(name).to_str().unwrap().to_owned();
        let over = format!("path={},overlay={}", path("low"), path("over"));
        let words = [
            ["--kernel", &path("kernel")],
            ["--initramfs", &path("initrd")],
            ["--rng", &path("random")],
            ["--smbios", &format!("type=11,path={}", path("oem"))],
            ["--cpu", &format!("file:{}", path("cpu.xml"))],
            ["--disk", &path("raw")],
            ["--disk", &path("top")],
            ["--disk", &over],
            ["--disk", &path("disk.vmdk")],
        ];
        let words = ["nvmm"].into_iter().chain(words.iter().flatten().copied());
        VmConfig::new(&Cli::parse_from(words).machine).unwrap()
    }

    fn refused(&self, taken: &mut Taken, name: &str) -> String {
        let before = fs::read(self.at(name)).unwrap();
        let error = taken.create("--stats", &self.at(name)).unwrap_err().to_string();
        assert!(fs::read(self.at(name)).unwrap() == before, "{name}");
        error.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// Every file of a machine, by any name, before its disks are open and while they are.
#[test]
fn a_file_of_the_machine_is_not_written_over() {
    let folder = Folder::new();
    let config = folder.config();
    symlink("base", folder.at("link")).unwrap();
    fs::hard_link(folder.at("disk-flat.vmdk"), folder.at("hard link")).unwrap();
    let files = [
        ("raw", "raw"),
        ("top", "top"),
        ("base", "top"),
        ("link", "top"),
        ("low", "low"),
        ("over", "low"),
        ("disk.vmdk", "disk.vmdk"),
        ("disk-flat.vmdk", "disk.vmdk"),
        ("hard link", "disk.vmdk"),
    ];
    let check = |taken: &mut Taken| {
        for (file, disk) in files {
            let expected = format!(
                "--stats {file}: that is a file of --disk {disk} too, which would be overwritten; give another"
            );
            assert_eq!(folder.refused(taken, file), expected);
        }
    };
    check(&mut Taken::by_disks(config.disks().cloned().collect()));
    let open: Vec<_> = config.disks().map(|disk| OpenDisk::open(disk).unwrap()).collect();
    let mut taken = Taken::by(&config);
    check(&mut taken);
    for (file, option) in [
        ("kernel", "--kernel kernel"),
        ("initrd", "--initramfs initrd"),
        ("random", "--rng random"),
        ("oem", "--smbios oem"),
        ("cpu.xml", "--cpu cpu.xml"),
    ] {
        assert!(folder.refused(&mut taken, file).contains(&format!("a file of {option} too")), "{file}");
    }
    drop(open);
}

#[test]
fn unused_files_are_overwritten() {
    let folder = Folder::new();
    let mut taken = Taken::by(&folder.config());
    for name in ["free", "new"] {
        taken.create("--stats", &folder.at(name)).unwrap();
    }
    assert_eq!(
        fs::read(folder.at("free")).unwrap(),
        [7; 4096],
        "what is refused after it leaves it as it was"
    );
    taken.empty().unwrap();
    for name in ["free", "new"] {
        assert_eq!(fs::read(folder.at(name)).unwrap(), b"");
    }
    taken.check("--serial file", Path::new("/dev/null")).unwrap();
    taken.check_standard().unwrap();
    let none = taken.create("--stats", &folder.at("none/x")).unwrap_err();
    assert!(matches!(none, OutputError::Open { .. }));
}

/// A disk in use is refused, even if it is only read.
#[test]
fn a_disk_of_another_process_is_not_overwritten() {
    let folder = Folder::new();
    for read_only in [false, true] {
        let user = RawDisk::open(&folder.at("free"), &DiskOptions { read_only, direct: false }).unwrap();
        let error = folder.refused(&mut Taken::by(&folder.config()), "free");
        assert!(error.starts_with("--stats free: that is a disk image in use by "), "{error}");
        drop(user);
    }
}

#[test]
fn two_outputs_are_two_files() {
    let folder = Folder::new();
    let (mut taken, free) = (Taken::by(&folder.config()), folder.at("free"));
    taken.check("--serial file", &free).unwrap();
    taken.add("--serial", &free);
    assert!(folder.refused(&mut taken, "free").contains("that is a file of --serial "));
    taken.create("--stats", &folder.at("other")).unwrap();
    taken.append("--serial file", &folder.at("appended")).unwrap();
    for (name, option) in [("other", "--stats"), ("appended", "--serial file")] {
        let refused = taken.replace("pmemsave", &folder.at(name)).unwrap_err().to_string();
        assert!(refused.contains(&format!("that is a file of {option} ")), "{refused}");
    }
    let kernel = taken.check("--serial file", &folder.at("kernel"));
    assert!(matches!(kernel, Err(OutputError::Taken { option: "--serial file", .. })));
}

#[test]
fn a_draft_that_a_killed_nvmm_left_goes_with_the_next() {
    let folder = Folder::new();
    let (left, picture) = (folder.at(".p.ppm.nvmm-abcdef"), folder.at("p.ppm"));
    fs::write(&left, "on").unwrap();
    for bytes in [b"one", b"two"] {
        Taken::by(&folder.config()).replace_whole("screendump", &picture, bytes).unwrap();
        assert_eq!(fs::read(&picture).unwrap(), bytes);
        assert!(!left.exists());
    }
}

#[test]
fn a_new_file_for_a_guests_memory_is_the_users_alone() {
    let folder = Folder::new();
    let taken = Taken::by(&folder.config());
    let mode = |name| fs::metadata(folder.at(name)).unwrap().permissions().mode() & 0o777;
    taken.replace("pmemsave", &folder.at("memory")).unwrap();
    assert_eq!(mode("memory"), 0o600);
    // An old one keeps its rights.
    fs::write(folder.at("old"), "").unwrap();
    fs::set_permissions(folder.at("old"), Permissions::from_mode(0o640)).unwrap();
    taken.replace("pmemsave", &folder.at("old")).unwrap();
    assert_eq!(mode("old"), 0o640);
}
