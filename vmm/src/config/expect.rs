//! `--expect`, `--send` and `--expect-timeout`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, time::Duration};

use devices::printable::ToPrintable;

use super::error::ConfigError;
use crate::{
    args::{ScriptArgs, Step},
    expect::{Expect, Pattern, PatternError, Script},
};

const ESCAPES: &str =
    r"give \n, \r, \t, \xHH with two hexadecimal digits, or \\; \c at the end leaves Enter out";

/// The byte that the Enter key sends.
const ENTER: u8 = b'\r';

/// Parses a script. Returns none if it is empty.
///
/// # Errors
///
/// A text is invalid.
pub(super) fn script(given: &ScriptArgs) -> Result<Option<Script>, ConfigError> {
    let timeout = (given.timeout > 0).then(|| Duration::from_secs(given.timeout.into()));
    let mut script = Script { first: Vec::new(), expects: Vec::new(), timeout };
    for step in &given.steps {
        match step {
            Step::Expect(text) => {
                let pattern = pattern(text.as_bytes()).map_err(|why| error("--expect", text, why))?;
                let given = text.as_bytes().to_vec();
                script.expects.push(Expect { given, pattern, sends: Vec::new() });
            }
            Step::Send(text) => {
                let typed = typed(text.as_bytes()).map_err(|why| error("--send", text, why.to_owned()))?;
                let last = script.expects.last_mut();
                last.map_or(&mut script.first, |expect| &mut expect.sends).push(typed);
            }
        }
    }
    Ok((!given.steps.is_empty()).then_some(script))
}

fn pattern(given: &[u8]) -> Result<Pattern, String> {
    let pattern = match given.strip_prefix(b"re:") {
        _ if given.is_empty() => return Err("give the text to wait for, or re:REGEX".to_owned()),
        Some(expression) => {
            let expression = str::from_utf8(expression);
            Pattern::regex(expression.map_err(|_| r"write a byte that is not UTF-8 as \xHH".to_owned())?)
        }
        None => Pattern::text(given),
    };
    pattern.map_err(|error: PatternError| error.to_string())
}

/// The bytes to type for a text: with Enter, unless the text ends with `\c`.
fn typed(mut given: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut typed = Vec::new();
    while let Some((&byte, rest)) = given.split_first() {
        given = rest;
        if byte != b'\\' {
            typed.push(byte);
            continue;
        }
        let (&escape, rest) = given.split_first().ok_or(ESCAPES)?;
        given = rest;
        typed.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let (digits, rest) = given.split_at_checked(2).ok_or(ESCAPES)?;
                given = rest;
                hexadecimal(digits).ok_or(ESCAPES)?
            }
            b'c' if given.is_empty() => return Ok(typed),
            _ => return Err(ESCAPES),
        });
    }
    if !typed.ends_with(b"\n") && !typed.ends_with(b"\r") {
        typed.push(ENTER);
    }
    Ok(typed)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.iter().try_fold(0, |byte, &next| Some(byte << 4 | digit(next)?))
}

fn error(option: &'static str, given: &OsStr, why: String) -> ConfigError {
    ConfigError::Keys { option, given: given.printable().to_string(), why }
}

#[cfg(test)]
#[path = "expect_test.rs"]
mod tests;
