use std::fs;

use tempfile::TempDir;

use super::{
    super::descriptor::tests::{Q35, descriptor, split},
    *,
};

/// Creates files below a root.
fn root(files: &[(&str, String)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn found(kind: Kind, root: &TempDir) -> Result<String, String> {
    let name = |path: &Path| path.strip_prefix(root.path()).unwrap().to_string_lossy().into_owned();
    match find(kind, root.path()) {
        Ok(Files { code, variables: None }) => Ok(name(&code)),
        Ok(Files { code, variables: Some(variables) }) => Ok(format!("{} {}", name(&code), name(&variables))),
        Err(error) => Err(error.to_string().replace(&format!("{}/", root.path().display()), "/")),
    }
}

const DESCRIPTORS: &str = "usr/share/qemu/firmware";

#[test]
fn seabios_is_where_distributions_put_it() {
    for path in SEABIOS {
        assert_eq!(found(Kind::Bios, &root(&[(path, String::new())])), Ok(path.to_owned()));
    }
    let all: Vec<_> = SEABIOS.into_iter().map(|path| (path, String::new())).collect();
    assert_eq!(found(Kind::Bios, &root(&all)), Ok(SEABIOS[0].to_owned()));
}

#[test]
fn missing_firmware_is_named_with_its_packages() {
    let none = root(&[]);
    assert_eq!(
        found(Kind::Bios, &none).unwrap_err(),
        "there is no BIOS (SeaBIOS) on this host, which --firmware bios needs; install it (Debian: apt install seabios; Fedora: dnf install seabios-bin), or give an image with --firmware PATH"
    );
    let uefi = found(Kind::Uefi, &none).unwrap_err();
    assert!(uefi.contains("apt install ovmf; Fedora: dnf install edk2-ovmf"), "{uefi}");
}

#[test]
fn descriptors_come_before_known_places() {
    let smm = descriptor(&split("/f/smm", "/f/vars"), Q35, r#""requires-smm""#);
    let gone = descriptor(&split("/f/gone", "/f/vars"), Q35, "");
    let good = descriptor(&split("/f/code", "/f/vars"), Q35, "");
    let file = |path| (path, String::new());
    let json = |number: u8| format!("{DESCRIPTORS}/{number}.json");
    let (a, b, c) = (json(1), json(2), json(3));
    let all = root(&[
        (&a, smm.clone()),
        (&b, gone),
        (&c, good),
        file("f/smm"),
        file("f/code"),
        file("f/vars"),
        file(OVMF[0]),
    ]);
    assert_eq!(found(Kind::Uefi, &all), Ok("f/code f/vars".to_owned()));
    let no_good = root(&[(&a, smm.clone()), file("f/smm"), file("f/vars"), file(OVMF[0])]);
    assert_eq!(found(Kind::Uefi, &no_good), Ok(OVMF[0].to_owned()));
    let none = root(&[(&a, smm), file("f/smm"), file("f/vars")]);
    let error = found(Kind::Uefi, &none).unwrap_err();
    assert!(
        error
            .starts_with("of the UEFI (OVMF) on this host, nvmm can use none: /f/smm is a Secure Boot build"),
        "{error}"
    );
}

#[test]
fn a_given_image_gets_the_variables_that_belong_to_it() {
    let folder = root(&[
        (&format!("{DESCRIPTORS}/1.json"), descriptor(&split("/f/code", "/f/vars"), Q35, "")),
        (&format!("{DESCRIPTORS}/2.json"), descriptor(&split("/f/smm", "/f/vars"), Q35, r#""requires-smm""#)),
        ("f/code", String::new()),
        ("f/smm", String::new()),
        ("f/other", String::new()),
    ]);
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("code", path("f/link")).unwrap();
    let variables = |name: &str| given(&path(name), folder.path()).unwrap().variables;
    assert_eq!(variables("f/code"), Some(path("f/vars")));
    assert_eq!(variables("f/link"), Some(path("f/vars")));
    assert_eq!(variables("f/other"), None);
    for name in ["f/X_CODE.fd", "f/X_VARS.fd", "f/Y_CODE.fd"] {
        fs::write(path(name), "").unwrap();
    }
    assert_eq!(variables("f/X_CODE.fd"), Some(path("f/X_VARS.fd")), "by its name");
    assert_eq!((variables("f/X_VARS.fd"), variables("f/Y_CODE.fd")), (None, None));
    let error = given(&path("f/smm"), folder.path()).unwrap_err();
    assert!(matches!(error, FirmwareError::Image { source: ImageError::NeedsSmm, .. }), "{error}");
}

#[test]
fn the_vgas_option_rom_is_where_distributions_put_it() {
    for path in VGA {
        let root = root(&[(path, String::new())]);
        assert_eq!(vga(root.path()).unwrap(), root.path().join(path));
    }
    let error = vga(root(&[]).path()).unwrap_err().to_string();
    assert!(error.starts_with("there is no vgabios-stdvga.bin on this host"), "{error}");
    assert!(error.contains("apt install seabios") && error.ends_with("or say --display none"), "{error}");
}

#[test]
fn a_word_that_is_no_file_is_told_the_words_that_are_no_files() {
    let folder = root(&[]);
    assert_eq!(
        given(Path::new("ufi"), folder.path()).unwrap_err().to_string(),
        "--firmware ufi: no such file; give bios, uefi or the path of an image"
    );
}
