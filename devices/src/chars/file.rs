//! A serial port whose output goes to a file.

use std::{fs::File, io, path::PathBuf};

use super::{Backend, log_to, output_options};
use crate::{output::Output, printable::ToPrintable};

/// A file, a FIFO or a device for output. There is no input.
#[derive(Debug)]
pub struct FileBackend {
    path: PathBuf,
    output: Output,
}

impl FileBackend {
    /// Makes the back end of the port `name`, which writes to `file`, at `path`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn new(name: &'static str, path: PathBuf, file: File, log: Option<File>) -> io::Result<Self> {
        let output = Output::new(file, output_options(name))?;
        log_to(&output, log)?;
        Ok(Self { path, output })
    }
}

impl Backend for FileBackend {
    fn output(&self) -> Option<Output> {
        Some(self.output.clone())
    }

    fn describe(&self) -> String {
        format!("file {}", self.path.printable())
    }
}
