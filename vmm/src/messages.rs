//! Messages of nvmm on stderr.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    time::Duration,
};

use devices::{
    output::{Output, OutputOptions},
    printable::PrintableLines,
};
use env_logger::Target;

/// Has log messages go to stderr, more of them the more `verbose`.
pub fn to_stderr(verbose: u8) {
    start(verbose, Target::Stderr);
}

/// The same, but never waits for whoever reads stderr. Returns the output, if stderr is there.
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
    // It tells what gdb asks for in vain, which gdb does all the time.
    let gdbstub = if verbose > 2 { level } else { log::LevelFilter::Off };
    env_logger::Builder::new()
        .filter_level(level)
        .filter_module("gdbstub", gdbstub)
        .format(|out, record| writeln!(out, "nvmm: {}", PrintableLines(&record.args().to_string())))
        .target(target)
        .init();
}
