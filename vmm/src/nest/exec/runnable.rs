//! Checks that a program can be started at the last level.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devices::printable::ToPrintable;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef, elf};

use super::tree::{Entry, Tree};

/// The number of bytes that the kernel reads of a script's first line. Linux, "include/uapi/linux/binfmts.h", `BINPRM_BUF_SIZE`.
const SCRIPT_LINE: usize = 256;
/// The most interpreters of interpreters that the kernel starts. Linux, "fs/exec.c", `exec_binprm`.
const INTERPRETERS: u32 = 5;
/// The folders in which distributions keep libraries, for advice in an error.
const LIBRARIES: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// The files that a program needs besides itself.
#[derive(Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// The interpreter of a script.
    Interpreter(PathBuf),
    /// The loader of a dynamic program, and the names of its libraries.
    Loader(PathBuf, Vec<String>),
}

/// Checks that the kernel can start the program at `guest` in `tree`.
///
/// # Errors
///
/// The program is of another kind, or files are missing; the error says how to add them.
pub(super) fn check(tree: &Tree, guest: &Path) -> anyhow::Result<()> {
    let mut guest = guest.to_owned();
    for _ in 0..INTERPRETERS {
        let Some(Entry::File { from, permissions, .. }) = tree.get(&guest) else {
            bail!("/{} is not a file", guest.printable())
        };
        if permissions & 0o111 == 0 {
            bail!("{} is not executable; chmod +x makes it so", from.printable());
        }
        let file = File::open(from).with_context(|| format!("reading {}", from.printable()))?;
        // The file may be as large as the level's memory, so only the relevant parts are read.
        match needs(&ReadCache::new(file)).with_context(|| from.printable().to_string())? {
            Needs::Nothing => return Ok(()),
            Needs::Loader(loader, libraries) => return find_libraries(tree, from, &loader, &libraries),
            Needs::Interpreter(interpreter) => {
                if tree.get(&interpreter).is_none() {
                    let script = from.printable();
                    let wanted = interpreter.printable();
                    bail!(
                        "{script} is a script for {wanted}, which the level lacks; add it with --add HOST:{wanted} (for a shell, \
                         a static busybox does)"
                    );
                }
                guest = interpreter;
            }
        }
    }
    bail!("{} is a script for a script, too many times over", guest.printable())
}

/// Checks that a dynamic program has its loader and libraries.
fn find_libraries(tree: &Tree, program: &Path, loader: &Path, libraries: &[String]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    if tree.get(loader).is_none() {
        missing.push(loader.to_owned());
    }
    let lacks =
        libraries.iter().filter(|name| !tree.has_name(OsStr::new(name)) && !is_the_loader(loader, name));
    missing.extend(lacks.map(PathBuf::from));
    if missing.is_empty() {
        return Ok(());
    }
    let what: Vec<_> = missing.iter().map(|path| path.printable().to_string()).collect();
    let add: Vec<_> = missing.iter().filter_map(|path| on_the_host(path)).collect();
    let add: String = add.iter().map(|path| format!(" --add {}", path.printable())).collect();
    let add = if add.is_empty() { " --add HOST:GUEST".to_owned() } else { add };
    bail!(
        "{} is a dynamic program, and the level lacks {}; link it statically, or give it what it needs:{add}",
        program.printable(),
        what.join(", "),
    )
}

/// Returns whether the library is the loader itself: glibc's is needed by its name, and musl's is also the C library.
fn is_the_loader(loader: &Path, library: &str) -> bool {
    let name = loader.file_name().unwrap_or_default();
    name == library || name.as_bytes().starts_with(b"ld-musl-") && library.starts_with("libc.")
}

fn on_the_host(missing: &Path) -> Option<PathBuf> {
    LIBRARIES.iter().map(|folder| Path::new(folder).join(missing)).find(|path| path.exists())
}

/// Finds out how the kernel would start the file. Linux, "fs/binfmt_elf.c" and "fs/binfmt_script.c".
fn needs<'data>(image: impl ReadRef<'data>) -> anyhow::Result<Needs> {
    let len = image.len().ok().context("it can't be read")?;
    let start = image.read_bytes_at(0, len.min(SCRIPT_LINE as u64)).ok().context("it can't be read")?;
    if let Some(line) = start.strip_prefix(b"#!") {
        return script(line);
    }
    if start.is_empty() {
        bail!("it is empty");
    }
    if !start.starts_with(&elf::ELFMAG) {
        bail!("it is neither an ELF program nor a script that begins with #!");
    }
    match start.get(4).copied().map(elf::FileClass) {
        Some(elf::ELFCLASS64) => elf_needs::<elf::FileHeader64<Endianness>, _>(image, len),
        Some(elf::ELFCLASS32) => elf_needs::<elf::FileHeader32<Endianness>, _>(image, len),
        _ => bail!("it is no ELF program of 32 or 64 bits"),
    }
}

fn script(line: &[u8]) -> anyhow::Result<Needs> {
    let line = &line[..line.len().min(SCRIPT_LINE - 2)];
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let word = line.split(blank).find(|word| !word.is_empty()).unwrap_or_default();
    if word.ends_with(b"\r") {
        bail!(
            "the #! line ends in a carriage return, which the kernel takes for a part of the interpreter's name"
        );
    }
    let interpreter = Path::new(OsStr::from_bytes(word));
    if !interpreter.is_absolute() {
        bail!("the #! line names no interpreter by its whole path");
    }
    Ok(Needs::Interpreter(interpreter.to_owned()))
}

fn elf_needs<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    image: R,
    len: u64,
) -> anyhow::Result<Needs> {
    let broken = "it is not a whole ELF file";
    let header = Elf::parse(image).ok().context(broken)?;
    let endian = header.endian().ok().context(broken)?;
    let machine = header.e_machine(endian);
    if !matches!(machine, elf::EM_X86_64 | elf::EM_386) {
        bail!("it is a program for another processor than x86 (ELF machine {})", machine.0);
    }
    let segments = header.program_headers(endian, image).ok().context(broken)?;
    let mut loads = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).peekable();
    if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) || loads.peek().is_none() {
        bail!("it is an ELF file, but no program");
    }
    let is_whole = |(start, size): (u64, u64)| start.checked_add(size).is_some_and(|end| end <= len);
    if !loads.all(|segment| is_whole(segment.file_range(endian))) {
        bail!(broken);
    }
    let loader = segments.iter().find_map(|segment| segment.interpreter(endian, image).ok().flatten());
    let Some(loader) = loader else { return Ok(Needs::Nothing) };
    // Without section headers the libraries' names can't be read: then the loader will report missing ones.
    let libraries = libraries(header, endian, image).unwrap_or_default();
    Ok(Needs::Loader(PathBuf::from(OsStr::from_bytes(loader)), libraries))
}

/// The names of the libraries that it needs, if it has section headers.
fn libraries<'data, Elf: FileHeader<Endian = Endianness>>(
    header: &Elf,
    endian: Endianness,
    image: impl ReadRef<'data>,
) -> Option<Vec<String>> {
    let table = header.sections(endian, image).ok()?.dynamic_table(endian, image).ok()?;
    let needed = table.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
    let names = needed.filter_map(|entry| table.string(entry).ok());
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

#[cfg(test)]
#[path = "runnable_test.rs"]
mod tests;
