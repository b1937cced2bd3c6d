//! The next step after a command, and the facts for its answer.

use std::{fmt, sync::Arc, time::Duration};

use arch::cpu::topology::Topology;
use serde_json::Value;
use uuid::Uuid;

use super::models::ModelQuestion;
use crate::{
    host::OpenKvm,
    migration::Progress,
    questions::{Answer, Question},
    run_state::RunState,
    source::Control,
};

/// The facts that the main thread has without asking the machine.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The machine's current state.
    pub(super) state: RunState,
    /// The progress of a migration. The machine's thread may be busy with its last part.
    pub(super) progress: Arc<Progress>,
    /// Facts that never change.
    pub(super) facts: Facts,
}

/// Facts about a machine that never change.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name, if it has one.
    pub name: Option<String>,
    /// The UUID, if it has one.
    pub uuid: Option<Uuid>,
    /// KVM's device node.
    pub kvm: OpenKvm,
    /// The vCPUs.
    pub topology: Topology,
}

/// The next step after a command was read.
#[derive(Debug)]
pub(super) enum Todo {
    /// Send this answer.
    Answer(Value),
    /// Press a button of the machine; the machine's thread answers.
    Control(Control),
    /// Ask the machine's thread, and give its answer the right form.
    Ask(Question, Finish),
    /// Store the descriptor that came with the command under this name.
    Keep(String),
    /// Close the descriptor of this name.
    Close(String),
    /// Move the machine by the connection of this name.
    Migrate {
        /// The name.
        name: String,
        /// The longest time that the guest may be paused.
        downtime: Duration,
        /// Compare all memory.
        verify: bool,
    },
    /// Ask KVM, which takes a while.
    AskKvm(ModelQuestion),
    /// End nvmm.
    Quit,
}

/// Converts a machine's answer to its form in QMP.
pub(super) struct Finish(pub(super) Box<dyn FnOnce(Value) -> Answer>);

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finish")
    }
}
