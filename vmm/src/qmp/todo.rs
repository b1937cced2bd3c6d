//! The steps that a command leads to, and the facts that it is answered by.

use std::{fmt, time::Duration};

use arch::cpu::topology::Topology;
use serde_json::Value;
use uuid::Uuid;

use super::models::ModelQuestion;
use crate::{
    host::OpenKvm,
    questions::{Answer, Question},
    run_state::RunState,
    source::Control,
};

/// Facts that the main thread answers by, without asking the machine.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The machine's state.
    pub(super) state: RunState,
    /// The facts that never change.
    pub(super) facts: Facts,
}

/// Facts about a machine that never change.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its UUID, if it has one.
    pub uuid: Option<Uuid>,
    /// KVM's device node.
    pub kvm: OpenKvm,
    /// Its vCPUs.
    pub topology: Topology,
}

/// The next step after a command was read.
#[derive(Debug)]
pub(super) enum Todo {
    /// This answer.
    Answer(Value),
    /// A button of the machine's is pressed, and the machine's thread answers.
    Control(Control),
    /// The machine's thread answers, and this gives the answer its form.
    Ask(Question, Finish),
    /// The descriptor that came with the command is kept under this name.
    Keep(String),
    /// The descriptor of this name is closed.
    Close(String),
    /// The machine is moved by the connection of this name.
    Migrate {
        /// The name.
        name: String,
        /// The longest that it is to stand still.
        downtime: Duration,
        /// All memory is compared.
        verify: bool,
    },
    /// KVM is asked, which takes a while.
    AskKvm(ModelQuestion),
    /// nvmm ends.
    Quit,
}

/// Gives a machine's answer its form in QMP.
pub(super) struct Finish(pub(super) Box<dyn FnOnce(Value) -> Answer>);

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finish")
    }
}
