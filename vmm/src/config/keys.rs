//! Options of `key=value` parts.

use devices::printable::ToPrintable;
use serde::Deserialize;
use serde_aco::Error;

use super::{error::ConfigError, words};

/// Reads `text`, which stands for what was `given` to `option`.
pub(super) fn keys<'a, T: Deserialize<'a>>(
    option: &'static str,
    given: &str,
    text: &'a str,
) -> Result<T, ConfigError> {
    serde_aco::from_arg(text).map_err(|error| {
        let why = match error {
            Error::Message(message) => message,
            Error::ExpectedInteger => "give a whole number".to_owned(),
            Error::Overflow => "the number is too large".to_owned(),
            Error::ExpectedBool => "give on or off".to_owned(),
            Error::ExpectedMapEq => "give key=value, with commas between".to_owned(),
            Error::Trailing(rest) => format!("'{rest}' is left over"),
            other => other.to_string(),
        };
        ConfigError::Keys {
            option,
            given: given.to_owned(),
            why: words::decode(&why).printable().to_string(),
        }
    })
}

/// Adds to an error about an unknown key that `first`, which it is in, may be a name as a whole.
pub(super) fn with_hint(error: ConfigError, first: &str) -> ConfigError {
    let shown = words::decode(first).printable().to_string();
    let key = shown.split('=').next().unwrap_or_default();
    match error {
        ConfigError::Keys { option, given, why } if why.contains(&format!("unknown field `{key}`")) => {
            let name = shown.replace(',', ",,");
            let why = format!("{why}; if '{name}' is a file's name, write path={name}");
            ConfigError::Keys { option, given, why }
        }
        other => other,
    }
}
