//! `nvmm ctl`: the control socket of a machine, for people and scripts.

mod connection;
mod error;
mod migrate;
mod words;

use std::{
    io,
    os::fd::AsFd,
    path::{self, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use devices::printable::{PrintableLines, ToPrintable, is_plain};
use serde_json::{Map, Value};

use self::connection::{Connection, Ended};
pub use self::error::UsageError;
use crate::{
    cpu::text::{NARROWEST, block, fill, print},
    qcode::KeyValue,
};

const EXAMPLES: &str = "\
Examples:
  nvmm ctl vm.sock                         list the commands
  nvmm ctl vm.sock query-status
  nvmm ctl vm.sock block_resize device=data size=20G
  nvmm ctl vm.sock query-stats target=vcpu
  nvmm ctl vm.sock query-stats '{\"target\": \"vcpu\"}'
  nvmm ctl vm.sock info registers          as QEMU's monitor prints it
  nvmm ctl vm.sock \"info registers -a\"     the same of all vCPUs
  nvmm ctl vm.sock screendump a.png        the screen's picture
  nvmm ctl vm.sock send-key ctrl-alt-f1    press keys, and let them go
  nvmm ctl vm.sock dump-guest-memory paging=off protocol=file:/tmp/vm.core
  nvmm ctl vm.sock snapshot saved          save the machine, for nvmm --restore
  nvmm ctl vm.sock migrate tcp:host:4444   move it to an nvmm with --incoming

Exit status:
  0  the machine did it
  1  there is no such machine, or it refuses
  2  the command line is wrong";

/// The command that presses keys, for which QEMU's monitor has a short form.
const SEND_KEY: &str = "send-key";

/// The short name for [`SAVE`] with a path.
const SNAPSHOT: &str = "snapshot";
/// The command that saves the machine.
const SAVE: &str = "nvmm-snapshot-save";

/// The command that moves the machine.
const MIGRATE: &str = "migrate";

/// The command that passes a line to QEMU's monitor.
const MONITOR: &str = "human-monitor-command";

/// The column at which commands' descriptions begin.
const INDENT: usize = 26;
/// The distance between tab stops in columns.
const TAB: usize = 8;

/// Ask about a machine that runs, stop it, let it go on ...: speak QMP on its control socket
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CtlArgs {
    /// The machine's control socket, as --qmp named it
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    /// A command of QMP's; help lists them
    ///
    /// The command; without one, or with help, all are listed. One that begins with info is a line for the monitor (human-monitor-command)
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Its arguments: a JSON object, or KEY=VALUE
    #[arg(value_name = "JSON|KEY=VALUE")]
    arguments: Vec<String>,
    /// Print events, until the machine has ended
    ///
    /// Print what happens to the machine, a line of JSON for each event, until it has ended
    #[arg(long)]
    events: bool,
    /// With snapshot: end the machine once it is saved
    #[arg(long)]
    stop: bool,
}

/// The action that the words ask for.
enum Task<'a> {
    List,
    Listen,
    Save(Map<String, Value>),
    Migrate(migrate::Order),
    Other(&'a str),
}

/// Carries out the command. The value is nvmm's exit status.
///
/// # Errors
///
/// There is no such machine, or it refuses the command.
pub fn run(args: &CtlArgs) -> Result<u8> {
    // First, as the machine need not be there to tell that a word is wrong.
    let task = Task::of(args)?;
    let mut connection = Connection::open(&args.socket)?;
    match task {
        Task::List => print(&list(&mut connection)?)?,
        Task::Listen => {}
        Task::Save(arguments) => print(&shown(&connection.call(SAVE, arguments)?)?)?,
        Task::Migrate(order) => migrate::migrate(&mut connection, order)?,
        Task::Other(command) => print(&shown(&answer(&mut connection, command, &args.arguments)?)?)?,
    }
    if args.events {
        while let Some(event) = connection.event(io::stdout().as_fd())? {
            print(&format!("{}\n", json(&event.to_string())))?;
            if event["event"] == "SHUTDOWN" {
                break;
            }
        }
    }
    Ok(0)
}

impl<'a> Task<'a> {
    fn of(args: &'a CtlArgs) -> Result<Self> {
        Ok(match args.command.as_deref() {
            Some("help") if args.arguments.is_empty() => Self::List,
            Some(SNAPSHOT) => Self::Save(saving(&args.arguments, args.stop)?),
            _ if args.stop => bail!(UsageError(format!(
                "--stop goes with {SNAPSHOT}; the command stop keeps a machine from running"
            ))),
            Some(MIGRATE) => Self::Migrate(migrate::Order::of(&args.arguments)?),
            Some(command) => Self::Other(command),
            None if args.events => Self::Listen,
            None => Self::List,
        })
    }
}

/// The arguments of [`SAVE`].
fn saving(words: &[String], stop: bool) -> Result<Map<String, Value>> {
    let [path] = words else {
        bail!(UsageError(format!("{SNAPSHOT}: give one directory to make")));
    };
    let arguments = [("directory".to_owned(), absolute(path)?.into()), ("stop".to_owned(), stop.into())];
    Ok(Map::from_iter(arguments))
}

/// Makes a path absolute, in this process's folder: the machine may run in another one.
fn absolute(path: &str) -> Result<String> {
    if path.is_empty() {
        bail!(UsageError("'' names no file".to_owned()));
    }
    let absolute = path::absolute(path).with_context(|| path.to_owned())?;
    let text =
        absolute.to_str().with_context(|| format!("{}: give a name in UTF-8", absolute.printable()))?;
    Ok(text.to_owned())
}

/// Sends a command, or a line of QEMU's monitor that begins with `info`, and returns the answer.
fn answer(connection: &mut Connection, command: &str, words: &[String]) -> Result<Value> {
    if command.split_whitespace().next() == Some("info") {
        let line = [&[command.to_owned()], words].concat().join(" ");
        return connection.call(MONITOR, Map::from_iter([("command-line".to_owned(), line.into())]));
    }
    let arguments = arguments(connection, command, words)?;
    match connection.call(command, arguments) {
        // A connection that ends is the answer to `quit`.
        Err(error) if command == "quit" && error.is::<Ended>() => Ok(Value::Object(Map::new())),
        answer => answer,
    }
}

/// All commands, as text.
fn list(connection: &mut Connection) -> Result<String> {
    Ok(listed(&connection.call("query-commands", Map::new())?))
}

/// Parses the words as arguments, by the machine's description of the command.
fn arguments(connection: &mut Connection, command: &str, words: &[String]) -> Result<Map<String, Value>> {
    match words {
        [] => Ok(Map::new()),
        [text] if text.trim_start().starts_with('{') => match serde_json::from_str(text) {
            Ok(Value::Object(arguments)) => Ok(arguments),
            Ok(_) => bail!(UsageError(format!("{text}: give a JSON object"))),
            Err(error) => bail!(UsageError(format!("{text}: that is no JSON: {error}"))),
        },
        [keys, more @ ..] if command == SEND_KEY && !keys.contains('=') => {
            let mut arguments =
                if more.is_empty() { Map::new() } else { arguments(connection, command, more)? };
            arguments.insert("keys".to_owned(), serde_json::to_value(KeyValue::of_line(keys))?);
            Ok(arguments)
        }
        [path] if command == "screendump" && !path.contains('=') => {
            Ok(Map::from_iter([("filename".to_owned(), absolute(path)?.into())]))
        }
        words => {
            let commands = connection.call("query-commands", Map::new())?;
            let known = commands.as_array().into_iter().flatten().find(|known| known["name"] == command);
            let Some(known) = known else {
                return Err(connection.unknown(command, &format!("The command {command} has not been found")));
            };
            Ok(words::arguments(words, known["arguments"].as_array().map_or(&[][..], Vec::as_slice))?)
        }
    }
}

/// Formats an answer for people: text as it is, everything else as JSON; nothing if it is empty.
fn shown(answer: &Value) -> Result<String> {
    Ok(match answer {
        Value::Object(members) if members.is_empty() => String::new(),
        Value::String(text) => {
            let text = without_tabs(&text.replace("\r\n", "\n"));
            format!("{}\n", PrintableLines(&text).to_string().trim_end())
        }
        other => json(&serde_json::to_string_pretty(other)?) + "\n",
    })
}

/// Replaces tabs by spaces up to the next eighth column, as a terminal does.
fn without_tabs(text: &str) -> String {
    let mut spaced = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let spaces = TAB - column % TAB;
                spaced.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            c => {
                spaced.push(c);
                column = if c == '\n' { 0 } else { column + 1 };
            }
        }
    }
    spaced
}

/// Escapes characters in JSON that would have an effect on a terminal.
fn json(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        if c == '\n' || is_plain(c) {
            safe.push(c);
        } else {
            // They can only be in strings.
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe += &format!("\\u{unit:04x}"));
        }
    }
    safe
}

/// Formats the answer of `query-commands`: the commands with their arguments.
fn listed(commands: &Value) -> String {
    let mut text = String::new();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut row = |label: String, help: &str| {
        let lines = fill(help.split(' '), INDENT);
        let lines = if lines.is_empty() { vec![String::new()] } else { lines };
        let label = if label.len() < INDENT { label } else { format!("{label}  ") };
        text += &block(&label, INDENT, &lines);
    };
    for command in commands.as_array().into_iter().flatten() {
        row(word(&command["name"]), &word(&command["help"]));
        for argument in command["arguments"].as_array().into_iter().flatten() {
            let values: Vec<_> = argument["values"].as_array().into_iter().flatten().map(word).collect();
            let value =
                if values.is_empty() { word(&argument["type"]).to_uppercase() } else { values.join("|") };
            let assignment = format!("{}={value}", word(&argument["name"]));
            let optional = argument["optional"] == true;
            row(
                if optional { format!("  [{assignment}]") } else { format!("  {assignment}") },
                &word(&argument["help"]),
            );
        }
    }
    PrintableLines(&text).to_string()
}

const _: () = assert!(INDENT < NARROWEST);

#[cfg(test)]
#[path = "ctl_test.rs"]
mod tests;
