//! Levels that level 0 keeps by `nvmm nest --keep`, and copies of them by `--from`, in which level 2 runs programs given only then.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use vmm::nest::image;
use vmm::nest::pid1::Pid1;
use vmm::nest::record::Record;
use vmm::nest::report::Said;

use crate::level0::NVMM;
use crate::programs::{ABORT, HELLO, PROGRAM, RANDOM};

/// The test's name.
pub(crate) const NAME: &str = "two levels are kept, and programs run in copies of them";
/// The memory of a level 1 that leaves level 0 enough for it, its saved state, and its nvmm.
pub(crate) const LEVEL_0_MEMORY: &str = "2560M";

const KEPT: &str = "/kept";
const REPORT: &str = "/kept.json";
const PATIENCE: &str = "900";

/// Keeps levels, and runs programs in copies of them.
pub(crate) fn run(pid1: &mut Pid1) -> anyhow::Result<()> {
    // For the copies' temporary overlays.
    fs::create_dir_all("/var/tmp").context("making /var/tmp")?;
    let start = Instant::now();
    let output = boot(&["--keep", KEPT, "--timeout", PATIENCE]).output().context("starting nvmm nest")?;
    expect(&output, 0, &["kept in /kept", "nest: 2 levels passed"])?;
    let kept = start.elapsed().as_secs_f64();
    let again = boot(&["--keep", KEPT]).output().context("starting nvmm nest")?;
    expect(&again, 1, &["--keep /kept"])?;

    let mut randoms = Vec::new();
    let mut firsts = Vec::new();
    for (what, status, says) in [
        (RANDOM, 0, "nest: 2 levels passed"),
        (RANDOM, 0, "nest: 2 levels passed"),
        ("1", 12, "level 2: the program failed: init ended with status 1"),
        ("77", 77, "nest: skipped after"),
        (ABORT, 12, "level 2: the program failed: init was ended by SIGABRT"),
    ] {
        let output =
            program(nvmm().args(["nest", "--from", KEPT]), what).output().context("starting nvmm nest")?;
        expect(&output, status, &[says])?;
        let printed = String::from_utf8(output.stdout)?;
        ensure!(printed.starts_with(HELLO), "{what}: {printed:?}");
        if what == RANDOM {
            randoms.push(printed);
        }
        firsts.push(started()?);
    }
    ensure!(randoms[0].len() > HELLO.len() + 32, "no random numbers: {randoms:?}");
    ensure!(randoms[0] != randoms[1], "two copies have the same random numbers: {randoms:?}");

    let output = program(&mut boot(&[]), "0").output().context("starting nvmm nest")?;
    expect(&output, 0, &["nest: 2 levels passed"])?;
    let whole = started()?;
    pid1.say(Said::Text(format!(
        "kept in {kept:.1} s; the program started after {firsts:.1?} s in copies, and after {whole:.1} s with a whole nest"
    )));
    Ok(())
}

fn nvmm() -> Command {
    let mut command = Command::new(image::in_root(NVMM));
    command.stdin(Stdio::null());
    command
}

/// `nvmm nest` with two levels. Level 0 has only one processor for them.
fn boot(options: &[&str]) -> Command {
    let mut command = nvmm();
    command.args(["nest", "--levels", "2", "--smp", "1"]);
    command.args(["--cmdline", "mitigations=off nokaslr cryptomgr.notests"]).args(options);
    command.arg("--kernel").arg(image::in_root(image::KERNEL));
    command.arg("--modules").arg(image::in_root(image::MODULES));
    command
}

/// The same with this program at the last level, told to do `what`.
fn program<'a>(command: &'a mut Command, what: &str) -> &'a mut Command {
    command.args(["--timeout", PATIENCE, "--json", REPORT]);
    command.arg("--exec").arg(image::in_root(image::INIT)).args(["--exec-args", PROGRAM, what])
}

/// The seconds from nvmm's start to the program's.
fn started() -> anyhow::Result<f64> {
    let text = fs::read(REPORT).context("reading the JSON")?;
    let record: Record = serde_json::from_slice(&text).context("reading the JSON")?;
    record.program.and_then(|program| program.started).context("no program in the JSON")
}

fn expect(output: &Output, status: i32, parts: &[&str]) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    let found = output.status;
    ensure!(found.code() == Some(status), "nvmm nest ended with {found}, not {status}: {said}{printed}");
    let missing = parts.iter().find(|part| !said.contains(**part) && !printed.contains(**part));
    ensure!(missing.is_none(), "nvmm nest does not say {missing:?}: {said}{printed}");
    Ok(())
}
