//! Programs at level 1 by `nvmm nest --exec`, run and checked by level 0. All of them are this executable.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, Output, Stdio, abort};
use std::thread;

use anyhow::{Context, ensure};
use vmm::nest::exec::outcome::ProgramRecord;
use vmm::nest::image;
use vmm::nest::record::Record;

use crate::level0::NVMM;

/// The first argument that selects such a program.
pub(crate) const PROGRAM: &str = "program";
const FLOOD: &str = "flood";
const HANG: &str = "hang";
pub(crate) const ABORT: &str = "abort";
pub(crate) const RANDOM: &str = "random";

/// The output before it does anything.
pub(crate) const HELLO: &str = "hello from a program";
/// The number of bytes that it prints, in lines of 32 bytes; 16 successive lines differ.
const FLOOD_LEN: usize = 10 << 20;
/// The seconds allowed for one that hangs, including its level's boot, which takes a tenth of that on an idle host.
const PATIENCE: &str = "90";

/// Runs the program that the arguments select, if this process is one.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = env::args().skip(1);
    if words.next()? != PROGRAM {
        return None;
    }
    println!("{HELLO}");
    let what = words.next()?;
    Some(match what.as_str() {
        FLOOD => match flood(&mut io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        },
        HANG => loop {
            thread::park();
        },
        ABORT => abort(),
        RANDOM => {
            let mut bytes = [0; 16];
            File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).ok()?;
            println!("{bytes:02x?}");
            ExitCode::SUCCESS
        }
        status => ExitCode::from(status.parse::<u8>().ok()?),
    })
}

/// Prints the 10 MiB, on a level with /dev/kvm.
fn flood(out: &mut impl Write) -> anyhow::Result<()> {
    File::open("/dev/kvm").context("/dev/kvm")?;
    out.write_all(&flooded()).context("stdout")
}

fn flooded() -> Vec<u8> {
    let lines = (0..).map(|number: usize| format!("@nest[1,\"done\"] {:02} is a line\n", number % 16));
    lines.flat_map(String::into_bytes).take(FLOOD_LEN).collect()
}

/// A program that hangs, until `nvmm nest` ends it.
#[derive(Debug)]
pub(crate) struct Hanging(Child);

impl Hanging {
    /// Starts it. It needs time, but hardly any processor time.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut nest = nest(HANG, &["--timeout", PATIENCE]);
        nest.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self(nest.spawn().context("starting nvmm nest")?))
    }

    /// Checks that it was ended, and that the message names it.
    pub(crate) fn judge(self) -> anyhow::Result<()> {
        let output = self.0.wait_with_output().context("waiting for nvmm nest")?;
        expect(&output, 11, &["level 1: timed out: its program did not end", HELLO])
    }
}

/// Runs the programs that end by themselves.
pub(crate) fn run() -> anyhow::Result<()> {
    let output = nest(FLOOD, &[]).output().context("starting nvmm nest")?;
    expect(&output, 0, &["init at level 1: status 0", "nest: 1 level passed"])?;
    let want = [HELLO.as_bytes(), b"\n", &flooded()].concat();
    ensure!(output.stdout == want, "{} bytes arrived, which are not those printed", output.stdout.len());
    let program = record(FLOOD)?;
    ensure!(
        program.bytes == u64::try_from(want.len())? && program.lost == 0,
        "{} bytes, {} lost",
        program.bytes,
        program.lost
    );

    for (what, status, says, end, signal) in [
        ("1", 11, "level 1: the program failed: init ended with status 1", Some(1), None),
        ("77", 77, "nest: skipped after", Some(77), None),
        (ABORT, 11, "level 1: the program failed: init was ended by SIGABRT", None, Some("SIGABRT")),
    ] {
        // Without SVM, no KVM is loaded there, which would take a while.
        let output =
            nest(what, &["--cpu", "host-passthrough,-svm"]).output().context("starting nvmm nest")?;
        expect(&output, status, &[says])?;
        ensure!(output.stdout == format!("{HELLO}\n").as_bytes(), "{what}: {:?}", output.stdout);
        let program = record(what)?;
        ensure!(program.status == end && program.signal.as_deref() == signal, "{what}: {program:?}");
        let junit = fs::read_to_string(report(what, "xml"))?;
        let outcome = if status == 77 { "<skipped message=" } else { "<failure type=\"program_failed\"" };
        ensure!(junit.contains(outcome) && junit.contains(HELLO), "{what}: {junit}");
    }
    Ok(())
}

/// `nvmm nest` with this program at level 1, told to do `what`. Level 0 has only one processor for it.
fn nest(what: &str, options: &[&str]) -> Command {
    let mut command = Command::new(image::in_root(NVMM));
    command
        .args(["nest", "--levels", "1", "--smp", "1", "--cmdline", "mitigations=off cryptomgr.notests"])
        .args(options);
    command.arg("--kernel").arg(image::in_root(image::KERNEL));
    command.arg("--modules").arg(image::in_root(image::MODULES));
    command.args(["--json", &report(what, "json"), "--junit", &report(what, "xml")]);
    command.arg("--exec").arg(image::in_root(image::INIT)).args(["--exec-args", PROGRAM, what]);
    command.stdin(Stdio::null());
    command
}

fn report(what: &str, kind: &str) -> String {
    format!("/program-{what}.{kind}")
}

fn record(what: &str) -> anyhow::Result<ProgramRecord> {
    let text = fs::read(report(what, "json")).context("reading the JSON")?;
    let record: Record = serde_json::from_slice(&text).context("reading the JSON")?;
    record.program.context("no program in the JSON")
}

fn expect(output: &Output, status: i32, parts: &[&str]) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    let found = output.status;
    ensure!(found.code() == Some(status), "nvmm nest ended with {found}, not {status}: {said}");
    let missing = parts.iter().find(|part| !said.contains(**part));
    ensure!(missing.is_none(), "nvmm nest does not say {missing:?}: {said}");
    Ok(())
}
