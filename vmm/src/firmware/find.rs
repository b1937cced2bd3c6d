//! Finds firmware where distributions install it.

use std::{
    io,
    path::{Path, PathBuf},
};

use devices::printable::ToPrintable;

use super::{
    descriptor::{self, Build},
    error::{FirmwareError, ImageError},
    image::Files,
    kind::Kind,
};

/// SeaBIOS: Debian and Fedora, then the file that comes with QEMU elsewhere.
const SEABIOS: [&str; 3] =
    ["usr/share/seabios/bios-256k.bin", "usr/share/qemu/bios-256k.bin", "usr/share/qemu-kvm/bios-256k.bin"];
/// OVMF with its variables in the same file: Debian, then Arch, then openSUSE.
const OVMF: [&str; 4] = [
    "usr/share/ovmf/OVMF.fd",
    "usr/share/edk2/x64/OVMF.4m.fd",
    "usr/share/qemu/ovmf-x86_64.bin",
    "usr/share/qemu/OVMF.fd",
];

/// SeaBIOS' option ROM for QEMU's standard VGA: Debian, then Fedora, then the file that comes with QEMU elsewhere.
const VGA: [&str; 4] = [
    "usr/share/seabios/vgabios-stdvga.bin",
    "usr/share/seavgabios/vgabios-stdvga.bin",
    "usr/share/qemu/vgabios-stdvga.bin",
    "usr/share/qemu-kvm/vgabios-stdvga.bin",
];

/// Finds the host's option ROM for the VGA, below `root`.
///
/// # Errors
///
/// There is none.
pub(super) fn vga(root: &Path) -> Result<PathBuf, FirmwareError> {
    VGA.iter().map(|path| root.join(path)).find(|path| path.exists()).ok_or(FirmwareError::NoVgaRom)
}

/// Finds the host's firmware of a kind, below `root`.
///
/// # Errors
///
/// There is none, or only builds that nvmm can't use.
pub(super) fn find(kind: Kind, root: &Path) -> Result<Files, FirmwareError> {
    let single = |paths: &[&str]| {
        let mut paths = paths.iter().map(|path| root.join(path));
        paths.find(|path| path.exists()).map(|code| Files { code, variables: None })
    };
    if kind == Kind::Bios {
        return single(&SEABIOS).ok_or(FirmwareError::NotFound { kind });
    }
    let mut why = Vec::new();
    for Build { files, unusable } in descriptor::builds(root) {
        if !files.code.exists() || files.variables.as_ref().is_some_and(|path| !path.exists()) {
            continue;
        }
        match unusable {
            None => return Ok(files),
            Some(reason) => why.push(format!("{} is {reason}", files.code.printable())),
        }
    }
    match single(&OVMF) {
        Some(files) => Ok(files),
        None if why.is_empty() => Err(FirmwareError::NotFound { kind }),
        None => Err(FirmwareError::NoneFits { kind, why: why.join(", ") }),
    }
}

/// Completes an image that the user gave by its store of variables, if a descriptor below `root` names one, or if it is next to the image.
///
/// # Errors
///
/// The image does not exist, or the descriptor shows that nvmm can't use the build.
pub(super) fn given(path: &Path, root: &Path) -> Result<Files, FirmwareError> {
    let alone = Files { code: path.to_owned(), variables: None };
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FirmwareError::NoFile(path.to_owned()));
        }
        Err(_) => return Ok(alone),
    };
    let is_same = |build: &Build| build.files.code.canonicalize().is_ok_and(|code| code == target);
    let builds = descriptor::builds(root);
    let of_it: Vec<_> = builds.into_iter().filter(is_same).collect();
    match of_it.iter().find(|build| build.unusable.is_none()) {
        Some(Build { files, .. }) => Ok(Files { variables: files.variables.clone(), ..alone }),
        None if of_it.is_empty() => Ok(Files { variables: beside(path), ..alone }),
        None => Err(FirmwareError::Image { path: path.to_owned(), source: ImageError::NeedsSmm }),
    }
}

/// The store of variables next to code without a descriptor, by its name: `OVMF_VARS_4M.fd` next to `OVMF_CODE_4M.fd`.
fn beside(code: &Path) -> Option<PathBuf> {
    let name = code.file_name()?.to_str()?;
    let variables = code.with_file_name(name.replace("CODE", "VARS"));
    (variables != code && variables.exists()).then_some(variables)
}

#[cfg(test)]
#[path = "find_test.rs"]
mod tests;
