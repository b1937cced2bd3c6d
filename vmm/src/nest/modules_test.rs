use std::io::Write;

use super::*;

/// A relocatable ELF file whose .modinfo contains `info`.
fn module(info: &str) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let info = info.replace('\n', "\0");
    let (info_at, names_at) = (64, 64 + info.len());
    let sections_at = (names_at + names.len()).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    // e_type ET_REL, e_machine EM_X86_64, then e_version, e_entry, e_phoff, e_shoff, e_flags
    half(&mut file, 1);
    half(&mut file, 62);
    file.extend(1u32.to_le_bytes());
    for value in [0, 0, sections_at as u64] {
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    for value in [64, 0, 0, 64, 3, 2] {
        half(&mut file, value);
    }
    file.extend(info.as_bytes());
    file.extend(names);
    file.resize(sections_at + 64, 0);
    for (name, kind, at, len) in [(1u32, 1u32, info_at, info.len()), (10, 3, names_at, names.len())] {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        // sh_flags, sh_addr, sh_offset, sh_size, sh_link and sh_info, sh_addralign, sh_entsize
        for value in [0, 0, at as u64, len as u64, 0, 1, 0] {
            file.extend(value.to_le_bytes());
        }
    }
    file
}

/// A module directory with `files`, and the built-in modules.
fn tree(files: &[(&str, &[u8])], builtin: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, data) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
    fs::write(dir.path().join("modules.builtin"), builtin).unwrap();
    dir
}

fn names(modules: Vec<Module>) -> Vec<String> {
    modules.into_iter().map(|module| module.name).collect()
}

#[test]
fn dependencies_come_first_and_once_and_built_in_ones_not_at_all() {
    let dir = tree(
        &[
            ("kernel/kvm/kvm-intel.ko", &module("depends=kvm\nvermagic=6.6 SMP")),
            ("kernel/kvm/kvm.ko", &module("depends=irqbypass,tsc-lib\nvermagic=6.6 SMP")),
            ("kernel/lib/irqbypass.ko", &module("depends=\nvermagic=6.6 SMP")),
        ],
        "kernel/lib/tsc_lib.ko\nkernel/drivers/virtio-pci.ko\n",
    );
    let modules = Modules::open(dir.path()).unwrap();
    let order = modules.resolve(&["virtio_pci", "kvm_intel", "kvm"], Some("6.6")).unwrap();
    assert_eq!(names(order), ["irqbypass", "kvm", "kvm_intel"]);
}

#[test]
fn modules_that_need_each_other_do_not_loop() {
    let files = [("kernel/a.ko", module("depends=b")), ("kernel/b.ko", module("depends=a"))];
    let dir = tree(&files.each_ref().map(|(path, data)| (*path, data.as_slice())), "");
    assert_eq!(names(Modules::open(dir.path()).unwrap().resolve(&["a"], None).unwrap()), ["b", "a"]);
}

#[test]
fn every_compression_reads_the_same() {
    let plain = module("depends=\nname=m");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd =
        ruzstd::encoding::compress_to_vec(plain.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    for (name, data) in [("m.ko", &plain), ("m.ko.gz", &gzip), ("m.ko.zst", &zstd)] {
        let dir = tree(&[(&format!("kernel/{name}"), data)], "");
        let modules = Modules::open(dir.path()).unwrap().resolve(&["m"], None).unwrap();
        assert_eq!(modules, [Module { name: "m".into(), image: plain.clone() }], "{name}");
    }
}

#[test]
fn xz_as_kernels_use_it_is_read() {
    // `printf 'nvmm' | xz --check=crc32 --lzma2=dict=2MiB`
    let xz = b"\xfd7zXZ\x00\x00\x01i\x22\xde6\x02\x00!\x01\x12\x00\x00\x00#\xb8\x87,\x01\x00\x03n\
        vmm\x00\xc1C\x91I\x00\x01\x18\x04k\xe9\xf0\xa5\x90B\x99\x0d\x01\x00\x00\x00\x00\x01YZ";
    let dir = tree(&[("kernel/m.ko.xz", xz)], "");
    assert_eq!(read(&dir.path().join("kernel/m.ko.xz")).unwrap(), b"nvmm");
}

#[test]
fn modules_added_by_the_user_win() {
    let (old, new) = (module("depends=\nold=1"), module("depends=\nnew=1"));
    let dir = tree(&[("kernel/z/m.ko", &old), ("updates/m.ko", &new), ("kernel/a/m.ko", &old)], "");
    assert_eq!(Modules::open(dir.path()).unwrap().resolve(&["m"], None).unwrap()[0].image, new);
}

#[test]
fn errors_name_the_module_and_the_place() {
    let dir = tree(
        &[
            ("kernel/text.ko", b"text"),
            ("kernel/cut.ko.xz", b"\xfd7zXZ\0"),
            ("kernel/m.ko", &module("vermagic=6.7 x")),
        ],
        "",
    );
    let modules = Modules::open(dir.path()).unwrap();
    let error = |name| modules.resolve(&[name], Some("6.6")).unwrap_err().to_string();
    let at = |name: &str| dir.path().join("kernel").join(name).display().to_string();
    assert!(error("kvm").starts_with(&format!("no module kvm in {}", dir.path().display())));
    assert_eq!(error("text"), format!("{} is not a kernel module", at("text.ko")));
    assert_eq!(error("cut"), format!("reading modules from {}", at("cut.ko.xz")));
    assert_eq!(error("m"), format!("{} is for kernel 6.7, not for 6.6", at("m.ko")));
    assert!(Modules::open(&dir.path().join("nowhere")).is_err());
}
