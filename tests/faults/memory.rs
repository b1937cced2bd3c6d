//! A page of the guest's memory that the host has lost.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::FileExt,
    process::{Child, Stdio},
};

use tempfile::TempDir;

use crate::{
    support::{Running, expect, guest, no_kvm, nvmm},
    tracee::Tracee,
};

const PAGE: u64 = 4096;
/// The guest-physical address of the page, and its first word.
const ADDRESS: u64 = 0x80_0000;
const MARK: u64 = 0x6d76_6d6e_5f74_736f ^ ADDRESS;

/// A vCPU accesses it: `KVM_RUN` fails.
#[test]
fn nvmm_reports_a_lost_page_when_the_guest_accesses_it() {
    let Some(mut lost) = Lost::new("") else { return };
    let (status, said) = lost.touch(b"t");
    assert_eq!(status, Some(1), "{said}");
    let is_told = said.starts_with("nvmm: vCPU 0: KVM_RUN: the host lost memory of the guest");
    assert!(is_told && said.lines().count() == 1, "{said}");
}

/// One of nvmm's threads accesses it: SIGBUS.
#[test]
fn nvmm_reports_a_lost_page_when_a_device_accesses_it() {
    let Some(mut lost) = Lost::new("") else { return };
    let (status, said) = lost.touch(b"h");
    assert_eq!(status, Some(1), "{said}");
    let is_told = said.starts_with("nvmm: the host lost memory of the guest or of nvmm (SIGBUS)");
    assert!(is_told && said.lines().count() == 1, "{said}");
}

/// The kernel accesses it for nvmm: the request fails.
#[test]
fn a_request_whose_data_has_no_page_fails_alone() {
    for options in [",aio=io_uring", ",aio=threads"] {
        let Some(mut lost) = Lost::new(options) else { return };
        let stdin = lost.nvmm.0.stdin.as_mut().unwrap();
        stdin.write_all(b"d").unwrap();
        assert_eq!(expect(lost.nvmm.0.stdout.as_mut().unwrap(), "\n"), "status 1\n", "{options}");
        let (status, said) = lost.touch(b"q");
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains("read at sector 0") && said.contains("Bad address"), "{said}");
    }
}

/// A machine with a lost page.
struct Lost {
    nvmm: Running,
    _folder: TempDir,
}

impl Lost {
    /// If it is not possible here, prints the reason.
    fn new(options: &str) -> Option<Self> {
        if no_kvm() {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let disk = folder.path().join("disk");
        fs::write(&disk, [0; 4096]).unwrap();
        let mut command = nvmm();
        command.arg("--kernel").arg(guest("lost")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(["--disk", &format!("path={},format=raw{options}", disk.display())]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut nvmm = Running::start(&mut command);
        expect(nvmm.0.stdout.as_mut().unwrap(), "ready\n");
        match take(&nvmm.0, disk.to_str().unwrap()) {
            Ok(()) => Some(Self { nvmm, _folder: folder }),
            Err(error) => {
                println!("skipped: the page can't be taken from another process: {error}");
                None
            }
        }
    }

    /// Makes the guest do something that ends nvmm. Returns the status, and nvmm's messages.
    fn touch(&mut self, what: &[u8]) -> (Option<i32>, String) {
        self.nvmm.0.stdin.as_mut().unwrap().write_all(what).unwrap();
        let status = self.nvmm.status_in_time();
        let mut said = String::new();
        self.nvmm.0.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

/// Takes the page from nvmm: maps a part of `file` there that is beyond the file's end.
fn take(nvmm: &Child, file: &str) -> std::io::Result<()> {
    let folder = format!("/proc/{}", nvmm.id());
    let page = page(&folder)?;
    let number = fs::read_dir(format!("{folder}/fd"))?.flatten().find_map(|entry| {
        let is_it = fs::read_link(entry.path()).is_ok_and(|path| path.to_str() == Some(file));
        is_it.then(|| entry.file_name().to_str().unwrap().parse().unwrap())
    });
    let number: u64 = number.unwrap();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_FIXED);
    let [protection, flags] = [protection, flags].map(|bits| u64::try_from(bits).unwrap());
    let mut tracee = Tracee::seize(nvmm)?;
    let mapped = tracee.call(libc::SYS_mmap, [page, PAGE, protection, flags, number, 1 << 30])?;
    assert_eq!(mapped, page, "mmap");
    Ok(())
}

/// The address in nvmm of the page with the mark.
fn page(folder: &str) -> std::io::Result<u64> {
    let memory = File::open(format!("{folder}/mem"))?;
    let maps = fs::read_to_string(format!("{folder}/maps"))?;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        if !rest.starts_with("rw-p 00000000 00:00 0") {
            continue;
        }
        for page in (start..end).step_by(usize::try_from(PAGE).unwrap()) {
            let mut word = [0; 8];
            if memory.read_exact_at(&mut word, page).is_ok() && u64::from_le_bytes(word) == MARK {
                return Ok(page);
            }
        }
    }
    panic!("the guest's page is not there: {maps}")
}
