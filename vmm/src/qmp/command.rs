//! A QMP command: its name, its arguments, and its action.

use serde_json::{Map, Value, json};

use super::{
    arguments::{Argument, Arguments},
    todo::{Finish, Known, Todo},
    types::Type,
};
use crate::questions::{Question, Refusal};

pub(super) type Next = Result<Todo, Refusal>;

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [Argument],
    pub(super) returns: Type,
    pub(super) help: &'static str,
    pub(super) run: fn(&mut Arguments, &Known) -> Next,
}

impl Command {
    /// A command without arguments.
    pub(super) const fn simple(
        name: &'static str,
        returns: Type,
        help: &'static str,
        run: fn(&mut Arguments, &Known) -> Next,
    ) -> Self {
        Self { name, arguments: &[], returns, help, run }
    }

    /// Runs the command, as far as that is possible without the machine.
    ///
    /// # Errors
    ///
    /// The arguments are wrong, or don't fit the machine.
    pub(super) fn run(&self, given: Map<String, Value>, known: &Known) -> Next {
        (self.run)(&mut Arguments::check(given, self.arguments)?, known)
    }

    /// The command in the description that clients can query.
    pub(super) fn describe(&self) -> Value {
        let arguments: Vec<_> = self.arguments.iter().map(Argument::describe).collect();
        json!({"name": self.name, "arguments": arguments, "help": self.help})
    }
}

/// Leaves the answer to the machine's thread.
pub(super) fn ask(question: Question) -> Next {
    Ok(Todo::Ask(question, Finish(Box::new(Ok))))
}

pub(super) fn answer(value: Value) -> Next {
    Ok(Todo::Answer(value))
}
