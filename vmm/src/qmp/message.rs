//! The messages of a QMP connection: greeting, calls, answers and events.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::{
    questions::Refusal,
    run_state::{Change, RunState},
};

/// A command that a client gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: Option<Value>,
    pub(super) command: String,
    pub(super) arguments: Map<String, Value>,
}

/// The reason why a call is refused, by QMP's error classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    CommandNotFound(String),
    Generic(String),
}

impl From<Refusal> for Error {
    fn from(Refusal(why): Refusal) -> Self {
        Self::Generic(why)
    }
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    ///
    /// The text isn't a call. The error contains its ID, if it has one.
    pub(super) fn of(text: Value) -> Result<Self, (Option<Value>, Refusal)> {
        let Value::Object(mut members) = text else {
            return Err((None, Refusal("QMP input must be a JSON object".to_owned())));
        };
        let id = members.remove("id");
        let refuse = |why: &str| (id.clone(), Refusal(why.to_owned()));
        let arguments = match members.remove("arguments") {
            None => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(refuse("QMP input member 'arguments' must be an object")),
        };
        let command = match members.remove("execute") {
            Some(Value::String(command)) => command,
            Some(_) => return Err(refuse("QMP input member 'execute' must be a string")),
            // Only `exec-oob`, or members without a meaning.
            None if members.is_empty() => return Err(refuse("QMP input lacks member 'execute'")),
            None => String::new(),
        };
        match members.keys().next() {
            Some(other) => Err(refuse(&format!("QMP input member '{other}' is unexpected"))),
            None => Ok(Self { id, command, arguments }),
        }
    }
}

/// The first line to a client. nvmm's version takes the place of QEMU's.
pub(super) fn greeting() -> String {
    line(json!({"QMP": {"version": version(), "capabilities": []}}))
}

/// QMP's `VersionInfo`.
pub(super) fn version() -> Value {
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    let [major, minor, micro] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
            .map(number);
    let package = concat!("nvmm ", env!("CARGO_PKG_VERSION"));
    json!({"qemu": {"major": major, "minor": minor, "micro": micro}, "package": package})
}

/// The line that answers a call.
pub(super) fn answer(id: Option<Value>, answer: Result<Value, Error>) -> String {
    let (member, value) = match answer {
        Ok(value) => ("return", value),
        Err(Error::CommandNotFound(desc)) => ("error", json!({"class": "CommandNotFound", "desc": desc})),
        Err(Error::Generic(desc)) => ("error", json!({"class": "GenericError", "desc": desc})),
    };
    let mut members = Map::new();
    members.insert(member.to_owned(), value);
    members.extend(id.map(|id| ("id".to_owned(), id)));
    line(Value::Object(members))
}

/// The line that gives a refused connection the reason.
pub(super) fn refusal(why: &str) -> String {
    answer(None, Err(Error::Generic(why.to_owned())))
}

/// The line that reports a change, which happened `at` that time.
pub(super) fn event(change: &Change, at: SystemTime) -> String {
    let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let timestamp = json!({"seconds": at.as_secs(), "microseconds": at.subsec_micros()});
    let (name, data) = match change {
        Change::Stop(_) => ("STOP", None),
        Change::Resume => ("RESUME", None),
        Change::PowerDown => ("POWERDOWN", None),
        Change::Reset { by } => ("RESET", Some(json!({"guest": by.is_guest(), "reason": by.name()}))),
        Change::Shutdown { by } => ("SHUTDOWN", Some(json!({"guest": by.is_guest(), "reason": by.name()}))),
        Change::Migration(status) => ("MIGRATION", Some(json!({"status": status.name()}))),
        Change::Panicked { action } => ("GUEST_PANICKED", Some(json!({"action": action.name()}))),
    };
    let mut event = json!({"timestamp": timestamp, "event": name});
    if let Some(data) = data {
        event["data"] = data;
    }
    line(event)
}

/// QMP's `StatusInfo`.
pub(super) fn status(state: RunState) -> Value {
    json!({"running": state == RunState::Running, "status": state.name()})
}

#[expect(clippy::needless_pass_by_value, reason = "it was made for this")]
fn line(value: Value) -> String {
    format!("{value}\r\n")
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
