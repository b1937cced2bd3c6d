//! The fault in an option's value.

use std::{fmt, io};

use super::error::ConfigError;

/// The fault in an option's value.
#[derive(Debug)]
pub(super) enum Fault {
    /// The value is invalid.
    Value(String),
    /// A file that it names can't be read.
    File(String),
}

impl Fault {
    /// The fault of a file, which is called `shown`.
    pub(super) fn of_file(shown: impl fmt::Display, error: &io::Error) -> Self {
        Self::File(format!("{shown}: {error}"))
    }

    /// Changes the text.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Value(why) => Self::Value(change(why)),
            Self::File(why) => Self::File(change(why)),
        }
    }

    /// The error about an option and its value.
    pub(super) fn of_option(self, option: &'static str, given: String) -> ConfigError {
        match self {
            Self::Value(why) => ConfigError::Keys { option, given, why },
            Self::File(why) => ConfigError::File { option, given, why },
        }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Value(why)
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        Self::Value(why.to_owned())
    }
}
