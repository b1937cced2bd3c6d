//! Level 1, which is saved or moved.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use vmm::host::Host;
use vmm::nest::disk;
use vmm::nest::emulator;
use vmm::nest::facts::virtualization;
use vmm::nest::image::Manifest;
use vmm::nest::pid1::{self, Pid1};
use vmm::nest::report::Said;

use super::clocks::{self, Clocks, Watch};
use super::machine::connect;
use super::tiny::Tiny;
use super::{BEFORE_KVM, BETWEEN, DONE, GOES_ON, HALTED, KVM_ON, LINUX, Moment, TIME, TWO_VCPUS};
use crate::kernel_log::KernelLog;
use crate::level0::NVMM;
use crate::level1::{self, PATIENCE};
use crate::scenario::{self, Record};

/// The socket to the second serial port of Linux as level 2.
const LINUX_PORT: &str = "/linux.port";
/// The round of Linux' disk check after which the moment is reported, and the one after which Linux has continued.
const BEGUN: u32 = 1;
const WENT_ON: u32 = 3;

/// Goes through the moments of a scenario.
pub(crate) fn run(pid1: &mut Pid1, scenario: &str) -> anyhow::Result<()> {
    let disk = Path::new("/dev/vda");
    let mut record = Record::read(disk)?;
    let port = File::open("/dev/ttyS1").context("opening the second serial port")?;
    let sources = clocks::sources()?;
    ensure!(sources.contains(&clocks::KVM), "Linux has no kvm-clock, but {sources:?}");
    let mut saved = Saved { pid1, port: BufReader::new(port), sources, times: 0 };
    saved.at(&BEFORE_KVM)?;
    pid1::load_kvm(saved.pid1.level, &saved.pid1.manifest)?;

    // A VM without a vCPU switches VMX or SVM on, and nothing more.
    let host = Host::open(Path::new("/dev/kvm"))?;
    let vm = host.kvm.create_vm().context("KVM_CREATE_VM")?;
    saved.at(&KVM_ON)?;
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 1)?;
    saved.at(&BETWEEN)?;
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 2)?;
    drop(vm);

    if scenario != scenario::MIGRATION {
        saved.halted()?;
    }
    saved.two_vcpus()?;
    level1::end_level_2(level1::level_2(level1::POWER_OFF)?, 3)?;
    if scenario == scenario::SNAPSHOT {
        saved.linux()?;
    }
    record.went_on = true;
    record.write(disk)?;
    saved.say(DONE);
    Ok(())
}

/// Level 1, with the state for its moments.
struct Saved<'a> {
    pid1: &'a mut Pid1,
    /// Level 0 writes here when the machine may continue.
    port: BufReader<File>,
    /// The clocks by which Linux keeps its time in turn.
    sources: Vec<&'static str>,
    times: usize,
}

impl Saved<'_> {
    /// Reports a moment, and waits for the line. Its clocks must continue meanwhile, and the kernel, whose log is returned, must print
    /// nothing.
    fn at(&mut self, moment: &Moment) -> anyhow::Result<KernelLog> {
        let words = moment.words;
        if let Some(source) = self.sources.iter().cycle().nth(self.times) {
            clocks::tell_by(source)?;
        }
        self.times += 1;
        let (log, before) = (KernelLog::now()?, Clocks::now());
        let watch = moment.watched.then(Watch::start).transpose()?;
        self.say(words);
        let mut line = String::new();
        self.port.read_line(&mut line).context("reading the second serial port")?;
        ensure!(line.trim_end() == "go", "{words}: {line:?} on the second serial port");
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?;
        before.go_on().context(words)?;
        watch.map_or(Ok(()), Watch::end).context(words)?;
        self.say(&format!("{TIME}{}", time.as_nanos()));
        log.has_not_grown().context(words)?;
        Ok(log)
    }

    /// Runs two level 2 guests that halt.
    fn halted(&mut self) -> anyhow::Result<()> {
        let (mut with_timer, mut without) = (Tiny::halts()?, Tiny::halts()?);
        with_timer.ask(b'l', "armed")?;
        self.at(&HALTED)?;
        with_timer.answers("timer").context("the timer that ran out meanwhile")?;
        for halted in [&mut with_timer, &mut without] {
            halted.ask(b'.', "byte")?;
            halted.ask(b's', "armed")?;
            halted.answers("timer")?;
        }
        with_timer.end()?;
        without.end()
    }

    /// Runs a level 2 on two vCPUs that checks its state for changes.
    fn two_vcpus(&mut self) -> anyhow::Result<()> {
        let mut looks = Tiny::looks("2")?;
        looks.is_same()?;
        let log = self.at(&TWO_VCPUS)?;
        for _ in 0..3 {
            looks.is_same()?;
        }
        log.has_not_grown()?;
        self.say(GOES_ON);
        looks.end()
    }

    /// Runs Linux as level 2.
    fn linux(&mut self) -> anyhow::Result<()> {
        let manifest = self.pid1.manifest.clone();
        let virt = virtualization().context("the CPU has neither VMX nor SVM")?;
        // Its timer would interrupt level 3 more often than an emulated machine can handle.
        let cmdline = format!("{} {}", manifest.cmdline, emulator::first_parameters(virt));
        let manifest = Manifest { files: vec![NVMM.to_owned()], cmdline, ..manifest };
        let image = level1::last_image(&manifest)?;
        let disk = disk::make(2).context("making level 2's disk")?;
        let port = format!("unix={LINUX_PORT},server");
        let disk_path = disk.path().display().to_string();
        let options = ["--disk", &disk_path, "--serial", "stdio", "--serial", &port];
        let (mut round, mut seen, mut log) = (0, None, None);
        level1::boot_linux(&manifest, &image, scenario::SNAPSHOT, &options, &mut |said| {
            let Said::Disk { read, wrote, .. } = said else { return Ok(()) };
            round += 1;
            seen = Some((*read, *wrote));
            match round {
                BEGUN => log = Some(self.at(&LINUX)?),
                WENT_ON => {
                    log.as_ref().map_or(Ok(()), KernelLog::has_not_grown)?;
                    self.say(GOES_ON);
                    let mut port: UnixStream = connect(LINUX_PORT, PATIENCE)?;
                    port.write_all(b"end\n").context("writing to level 2")?;
                }
                _ => {}
            }
            Ok(())
        })?;
        let is = disk::outside(&disk).context("reading level 2's disk")?;
        ensure!(round >= WENT_ON && seen == Some(is), "level 2's disk has {is:x?}, where it saw {seen:x?}");
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.pid1.say(Said::Text(text.to_owned()));
    }
}
