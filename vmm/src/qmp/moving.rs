//! The commands that move a machine to another nvmm.

use std::time::Duration;

use super::{
    arguments::Argument,
    command::{Command, ask},
    returns,
    todo::Todo,
    types::Type,
};
use crate::{
    migration::DOWNTIME,
    questions::{Question, Refusal},
};

pub(super) const GETFD: Command = Command {
    name: "getfd",
    arguments: &[Argument::new("fdname", Type::String, "its name")],
    returns: Type::NOTHING,
    help: "keep the descriptor that comes with this command (SCM_RIGHTS)",
    run: |arguments, _| Ok(Todo::Keep(arguments.need("fdname")?)),
};

pub(super) const CLOSEFD: Command = Command {
    name: "closefd",
    arguments: &[Argument::new("fdname", Type::String, "its name")],
    returns: Type::NOTHING,
    help: "close a descriptor that getfd keeps",
    run: |arguments, _| Ok(Todo::Close(arguments.need("fdname")?)),
};

pub(super) const MIGRATE: Command = Command {
    name: "migrate",
    arguments: &[
        Argument::new("uri", Type::String, "fd:NAME, a connection that getfd keeps"),
        Argument::optional(
            "downtime-limit",
            Type::Uint64,
            "the longest that the machine is to stand still, in milliseconds (300)",
        ),
        Argument::optional(
            "nvmm-verify",
            Type::Boolean,
            "true: compare all memory before the other side runs the machine, which stands still meanwhile",
        ),
    ],
    returns: Type::NOTHING,
    help: "begin to move the machine to an nvmm with --incoming",
    run: |arguments, _| {
        let uri: String = arguments.need("uri")?;
        let Some(name) = uri.strip_prefix("fd:") else {
            return Err(Refusal(format!(
                "uri '{uri}': nvmm connects nowhere by itself: give it a connection by getfd, and fd:NAME here; nvmm ctl SOCKET migrate {uri} does both"
            )));
        };
        let downtime = arguments.take("downtime-limit")?.map_or(DOWNTIME, Duration::from_millis);
        let verify = arguments.take("nvmm-verify")?.unwrap_or_default();
        Ok(Todo::Migrate { name: name.to_owned(), downtime, verify })
    },
};

pub(super) const QUERY: Command = Command::simple(
    "query-migrate",
    returns::MIGRATION,
    "tell how far moving the machine has come",
    |_, known| Ok(Todo::Answer(known.progress.to_json())),
);

pub(super) const CANCEL: Command = Command::simple(
    "migrate_cancel",
    Type::NOTHING,
    "give up moving the machine, which goes on here",
    |_, _| ask(Question::CancelMigration),
);
