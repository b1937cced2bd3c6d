//! nvmm's messages on stderr.

mod limit;

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use devices::{
    output::{Output, OutputOptions},
    printable::PrintableLines,
};
use env_logger::Target;
use log::{Level, Record};

use self::limit::Limit;

/// Sends log messages to stderr, at a level that depends on `verbose`.
pub fn to_stderr(verbose: u8) {
    start(verbose, Target::Stderr);
}

/// The same, but never waits for a reader of stderr. Returns the output, if stderr is open.
pub fn to_stderr_without_waiting(verbose: u8) -> Option<Output> {
    let options = OutputOptions { name: "messages", delay: Duration::ZERO, tell: false, waits: false };
    let file = io::stderr().as_fd().try_clone_to_owned().ok().map(File::from);
    let output = file.and_then(|file| Output::new(file, options).ok());
    match &output {
        Some(output) => start(verbose, Target::Pipe(Box::new(output.clone()))),
        None => start(verbose, Target::Stderr),
    }
    output
}

fn start(verbose: u8, target: Target) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    // It logs gdb's requests that it does not support, of which there are many.
    let gdbstub = if verbose > 2 { level } else { log::LevelFilter::Off };
    let limit = Limit::default();
    env_logger::Builder::new()
        .filter_level(level)
        .filter_module("gdbstub", gdbstub)
        .format(move |out, record| write(out, record, &limit))
        .target(target)
        .init();
}

/// Writes a message, unless it comes too often. Messages that only `-vv` shows are not limited: they are for debugging nvmm.
fn write(out: &mut impl Write, record: &Record<'_>, limit: &Limit) -> io::Result<()> {
    if record.level() <= Level::Info {
        let place = (record.module_path_static(), record.line());
        match limit.take(place, Instant::now()) {
            None => return Ok(()),
            Some(0) => {}
            Some(left_out) => writeln!(out, "nvmm: {left_out} more like the next message were left out")?,
        }
    }
    writeln!(out, "nvmm: {}", PrintableLines(&record.args().to_string()))
}

#[cfg(test)]
#[path = "messages_test.rs"]
mod tests;
