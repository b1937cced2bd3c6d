//! Tiny guests, and the nvmm under test that runs them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "compile.rs"]
mod compile;

use std::{
    collections::BTreeSet,
    io::Read,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The time after which a test counts as hung. A minute was too short on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the condition holds, and returns whether it does in time.
pub(crate) fn in_time(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The nvmm under test.
pub(crate) fn nvmm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvmm"));
    command.stdin(Stdio::null());
    command
}

/// The amount in KiB by which a sanitizer's own memory may grow, if nvmm was built for one: see `tests/sanitize`.
pub(crate) fn sanitizer_kib() -> u64 {
    if std::env::var_os("NVMM_SANITIZED").is_some() { 512 << 10 } else { 0 }
}

/// Returns true if there is no KVM, and prints that the test is skipped, and why.
pub(crate) fn no_kvm() -> bool {
    let host = vmm::host::Host::open(Path::new("/dev/kvm"));
    if let Err(error) = &host {
        println!("skipped: {error}");
    }
    host.is_err()
}

/// A process that is killed at the end of the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Waits for its end.
    pub(crate) fn status(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    /// Waits for its end, and fails after [`PATIENCE`].
    pub(crate) fn status_in_time(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the process did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until `text` has arrived. Fails if nothing comes for as long as [`PATIENCE`].
pub(crate) fn expect(from: &mut (impl Read + AsFd), text: &str) -> String {
    expect_for(PATIENCE, from, text)
}

/// The same, for guests that print nothing for a longer time.
pub(crate) fn expect_for(patience: Duration, from: &mut (impl Read + AsFd), text: &str) -> String {
    let patience = Timespec::try_from(patience).unwrap();
    let mut seen = String::new();
    let mut byte = [0];
    while !seen.ends_with(text) {
        let mut input = [PollFd::new(&*from, PollFlags::IN)];
        assert_eq!(poll(&mut input, Some(&patience)), Ok(1), "nothing after {seen:?}, before {text:?}");
        match from.read(&mut byte) {
            Ok(1) => seen.push(char::from(byte[0])),
            end => panic!("{end:?} after {seen:?}, before {text:?}"),
        }
    }
    seen
}

/// Reads until the other side closes. Fails if nothing comes for as long as [`PATIENCE`].
pub(crate) fn expect_end(from: &mut (impl Read + AsFd)) -> String {
    let mut seen = Vec::new();
    loop {
        let mut input = [PollFd::new(&*from, PollFlags::empty())];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        assert_eq!(
            poll(&mut input, Some(&patience)),
            Ok(1),
            "no end after {:?}",
            String::from_utf8_lossy(&seen)
        );
        if from.read_to_end(&mut seen).is_ok() {
            return String::from_utf8(seen).unwrap();
        }
    }
}

/// Compiles `tests/guests/NAME.rs` to an ELF kernel.
pub(crate) fn guest(name: &str) -> PathBuf {
    static COMPILED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests").join(name).with_extension("rs");
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if compiled.insert(name.to_owned()) {
        // Other test programs may be executing the existing file, or compiling the same guest. rustc names its temporary files after the
        // output without its extension, so the process's number must not be the extension.
        let new = output.with_file_name(format!("{name}-{}", std::process::id()));
        compile::compile(&source, &new).unwrap();
        std::fs::rename(new, &output).unwrap();
    }
    output
}

/// Runs a tiny guest with a debug-exit port.
pub(crate) fn run(name: &str, options: &[&str]) -> Output {
    nvmm()
        .arg("--kernel")
        .arg(guest(name))
        .args(["--debug-exit", "0xf4", "--memory", "16M"])
        .args(options)
        .output()
        .unwrap()
}
