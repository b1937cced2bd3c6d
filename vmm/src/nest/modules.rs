//! Kernel modules: finds their files and their dependencies, which are read from the modules themselves.
//!
//! depmod's `modules.dep` has the same information, but is not part of a distribution's package: it is made when the package is installed.
//! Each module's `.modinfo` section always lists its dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

/// Reasons why the modules can't be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory can't be read or decompressed.
    #[error("reading modules from {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file is not a kernel module, despite its name.
    #[error("{0} is not a kernel module")]
    Format(PathBuf),
    /// The module does not exist.
    #[error("no module {name} in {dir}, and its modules.builtin doesn't list it as built in")]
    Missing {
        /// The module.
        name: String,
        /// The folder that was searched.
        dir: PathBuf,
    },
    /// The module belongs to another kernel.
    #[error("{path} is for kernel {module}, not for {kernel}")]
    Release {
        /// The module's file.
        path: PathBuf,
        /// The release for which it was made.
        module: String,
        /// The release of the kernel that has to load it.
        kernel: String,
    },
}

/// The modules of one kernel: a directory like `/lib/modules/6.1.0-56-cloud-amd64`.
#[derive(Debug)]
pub struct Modules {
    dir: PathBuf,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

/// A module ready to be loaded.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// The name in /proc/modules: `kvm_intel`.
    pub name: String,
    /// The ELF file, decompressed.
    pub image: Vec<u8>,
}

impl Modules {
    /// Finds the modules under `dir`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let mut modules = Self { dir: dir.to_owned(), files: BTreeMap::new(), builtin: BTreeSet::new() };
        modules.walk(dir).map_err(|error| Error::Read(dir.to_owned(), error))?;
        let builtin = dir.join("modules.builtin");
        let list = match fs::read_to_string(&builtin) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            list => list.map_err(|error| Error::Read(builtin, error))?,
        };
        modules.builtin = list.lines().filter_map(|line| module_name(Path::new(line))).collect();
        Ok(modules)
    }

    fn walk(&mut self, dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            // `build` and `source` are links to kernel sources, which have many files and no modules of this kernel.
            let file_type = path.symlink_metadata()?.file_type();
            if file_type.is_dir() {
                self.walk(&path)?;
            } else if let Some(name) = module_name(&path) {
                // As in depmod, modules that were added to the distribution's own (in updates/, extra/) have priority.
                let added = !path.starts_with(self.dir.join("kernel"));
                if added || !self.files.contains_key(&name) {
                    self.files.insert(name, path);
                }
            }
        }
        Ok(())
    }

    /// Returns whether there is such a module, not counting those built into the kernel.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// The modules `wanted` and everything that they need, in load order, without those built into the kernel. `release` is the kernel's,
    /// if it is known.
    pub fn resolve(&self, wanted: &[&str], release: Option<&str>) -> Result<Vec<Module>, Error> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            self.visit(name, release, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        release: Option<&str>,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<(), Error> {
        if self.builtin.contains(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self
            .files
            .get(name)
            .ok_or_else(|| Error::Missing { name: name.to_owned(), dir: self.dir.clone() })?;
        let image = read(path).map_err(|error| Error::Read(path.clone(), error))?;
        let info = ModInfo::parse(&image).ok_or_else(|| Error::Format(path.clone()))?;
        if let Some(kernel) = release
            && info.release != kernel
        {
            let kernel = kernel.to_owned();
            return Err(Error::Release { path: path.clone(), module: info.release, kernel });
        }
        for dependency in info.depends {
            self.visit(&dependency, release, seen, order)?;
        }
        order.push(Module { name: name.to_owned(), image });
        Ok(())
    }
}

/// A module's description in itself.
struct ModInfo {
    depends: Vec<String>,
    release: String,
}

impl ModInfo {
    /// Linux, "include/linux/module.h", `MODULE_INFO`: NUL-terminated `key=value` strings in section `.modinfo`.
    fn parse(image: &[u8]) -> Option<Self> {
        let file = object::File::parse(image).ok()?;
        let section = file.section_by_name(".modinfo")?.data().ok()?;
        let mut info = Self { depends: Vec::new(), release: String::new() };
        for entry in section.split(|&byte| byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()) {
            match entry.split_once('=') {
                Some(("depends", list)) => {
                    info.depends = list.split(',').filter(|name| !name.is_empty()).map(canonical).collect();
                }
                Some(("vermagic", magic)) => {
                    info.release = magic.split(' ').next().unwrap_or_default().to_owned();
                }
                _ => {}
            }
        }
        Some(info)
    }
}

/// The name of the module in a file at `path`, if it is a module.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|suffix| file.strip_suffix(suffix))?;
    Some(canonical(stem))
}

/// A file may be called kvm-intel.ko or virtio_blk.ko; the kernel uses underscores for both.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(not(feature = "compressed-modules"))]
const WITHOUT: &str =
    "this nvmm was built without what unpacks xz and zstd (the cargo feature compressed-modules)";

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let raw = fs::read(path)?;
    let mut image = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut image)?,
        #[cfg(feature = "compressed-modules")]
        Some("xz") => lzma_rust2::XzReader::new(raw.as_slice(), true).read_to_end(&mut image)?,
        #[cfg(feature = "compressed-modules")]
        Some("zst") => ruzstd::decoding::StreamingDecoder::new(raw.as_slice())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            .read_to_end(&mut image)?,
        #[cfg(not(feature = "compressed-modules"))]
        Some("xz" | "zst") => return Err(io::Error::new(io::ErrorKind::Unsupported, WITHOUT)),
        _ => return Ok(raw),
    };
    Ok(image)
}

#[cfg(test)]
#[path = "modules_test.rs"]
mod tests;
