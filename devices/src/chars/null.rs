//! A serial port that is connected to nothing.

use std::{fs::File, io};

use super::{Backend, output_options};
use crate::output::Output;

/// No back end: output is dropped, or goes only to the log.
#[derive(Debug)]
pub struct NullBackend {
    log: Option<Output>,
}

impl NullBackend {
    /// Makes the back end of the port `name`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn new(name: &'static str, log: Option<File>) -> io::Result<Self> {
        Ok(Self { log: log.map(|log| Output::new(log, output_options(name))).transpose()? })
    }
}

impl Backend for NullBackend {
    fn output(&self) -> Option<Output> {
        self.log.clone()
    }

    fn describe(&self) -> String {
        "null".to_owned()
    }
}
