//! The commands: one table for dispatch, `query-commands` and `query-qmp-schema`.

use devices::disk::format::Format;
use serde_json::{Value, json};

use super::{
    arguments::{Argument, Arguments},
    command::{Command, answer, ask},
    cpus, input_event,
    message::{self, Error},
    models::{self, ModelQuestion},
    moving, returns,
    schema::Schema,
    screendump, send_key, stats,
    todo::{Finish, Todo},
    types::Type,
};
use crate::{
    questions::{Question, Refusal},
    source::Control,
};

/// The command that a client must give first, and only once.
pub(super) const CAPABILITIES: &str = "qmp_capabilities";

const SIZE: Argument = Argument::new("size", Type::Uint64, "how many bytes");
const FILENAME: Argument = Argument::new("filename", Type::String, "the file to make");

const DRIVE: Argument =
    Argument::optional("device", Type::String, "the drive's name, as query-block tells it");

/// All commands, in the order in which they are listed.
static TABLE: &[Command] = &[
    Command {
        name: CAPABILITIES,
        arguments: &[Argument::optional(
            "enable",
            Type::Array(&Type::String),
            "capabilities to enable, of which nvmm has none",
        )],
        returns: Type::NOTHING,
        help: "begin: the first command on each connection",
        run: |arguments, _| match arguments.take::<Vec<String>>("enable")?.unwrap_or_default().first() {
            Some(name) => Err(Refusal(format!("Capability {name} not available"))),
            None => answer(json!({})),
        },
    },
    Command::simple("query-commands", returns::COMMANDS, "list the commands", |_, _| answer(list())),
    Command::simple("query-qmp-schema", returns::SCHEMA, "tell the types of commands and events", |_, _| {
        answer(schema())
    }),
    Command::simple("query-version", returns::VERSION, "tell nvmm's version", |_, _| {
        answer(message::version())
    }),
    Command::simple("query-status", returns::STATUS, "tell whether the machine runs", |_, known| {
        answer(message::status(known.state))
    }),
    Command::simple("query-name", returns::NAME, "tell the machine's name, if it has one", |_, known| {
        answer(known.facts.name.as_ref().map_or_else(|| json!({}), |name| json!({"name": name})))
    }),
    Command::simple(
        "query-uuid",
        returns::UUID,
        "tell the machine's UUID: all zeros if it has none",
        |_, known| answer(json!({"UUID": known.facts.uuid.unwrap_or_default().hyphenated().to_string()})),
    ),
    Command::simple("query-kvm", returns::KVM, "tell whether KVM runs the machine: always", |_, _| {
        answer(json!({"enabled": true, "present": true}))
    }),
    Command::simple("stop", Type::NOTHING, "stop the machine", |_, _| Ok(Todo::Control(Control::Stop))),
    Command::simple("cont", Type::NOTHING, "let a stopped machine go on", |_, _| {
        Ok(Todo::Control(Control::Continue))
    }),
    Command::simple("system_powerdown", Type::NOTHING, "press the guest's power button", |_, _| {
        Ok(Todo::Control(Control::PowerDown))
    }),
    Command::simple("system_reset", Type::NOTHING, "reset the machine", |_, _| {
        Ok(Todo::Control(Control::Reset))
    }),
    Command::simple(
        "query-cpus-fast",
        returns::CPUS,
        "list the vCPUs with their threads on the host, and disturb none",
        |_, known| answer(cpus::list(&known.facts.topology)),
    ),
    Command {
        name: "query-stats",
        arguments: stats::ARGUMENTS,
        returns: returns::STATS,
        help: "tell what KVM counted since the last reset",
        run: |arguments, _| {
            let filter = stats::Filter::new(arguments)?;
            Ok(Todo::Ask(Question::Stats, Finish(Box::new(move |all| filter.apply(all)))))
        },
    },
    Command::simple("query-vnc", returns::VNC, "tell where viewers connect, and who does", |_, _| {
        ask(Question::Viewers)
    }),
    Command::simple("query-block", returns::BLOCKS, "list the disks", |_, _| ask(Question::Blocks)),
    Command::simple(
        "query-blockstats",
        returns::BLOCK_STATS,
        "tell what each disk did since nvmm started",
        |_, _| ask(Question::BlockStats),
    ),
    Command {
        name: "block_resize",
        arguments: &[
            Argument::optional("device", Type::String, "the disk's name, as query-block tells it"),
            Argument::optional("node-name", Type::String, "the same"),
            Argument::new("size", Type::Uint64, "its new size in bytes"),
        ],
        returns: Type::NOTHING,
        help: "make a raw disk larger, and tell the guest",
        run: |arguments, _| {
            let [device, node]: [Option<String>; 2] =
                [arguments.take("device")?, arguments.take("node-name")?];
            let disk = device.or(node).ok_or_else(|| Refusal("Parameter 'device' is missing".to_owned()))?;
            ask(Question::Resize { disk, size: arguments.need("size")? })
        },
    },
    Command {
        name: "query-rx-filter",
        arguments: &[Argument::optional("name", Type::String, "only this network device")],
        returns: returns::RX_FILTER,
        help: "tell which frames the drivers of network devices want",
        run: |arguments, _| ask(Question::RxFilter(arguments.take("name")?)),
    },
    Command {
        name: "eject",
        arguments: &[
            DRIVE,
            Argument::optional("id", Type::String, "the same"),
            Argument::optional("force", Type::Boolean, "though the guest holds the medium"),
        ],
        returns: Type::NOTHING,
        help: "take the medium out of a CD-ROM drive",
        run: |arguments, _| {
            let force = arguments.take("force")?.unwrap_or_default();
            ask(Question::Eject { drive: drive(arguments)?, force })
        },
    },
    Command {
        name: "blockdev-change-medium",
        arguments: &[
            DRIVE,
            Argument::optional("id", Type::String, "the same"),
            Argument::new("filename", Type::String, "the image to put in"),
            Argument::optional("format", Type::String, "its format; without, it is known by its first bytes"),
            Argument::optional("force", Type::Boolean, "though the guest holds the medium that is in it"),
            Argument::optional(
                "read-only-mode",
                Type::String,
                "retain or read-only, which mean the same here",
            ),
        ],
        returns: Type::NOTHING,
        help: "put another medium into a CD-ROM drive",
        run: |arguments, _| {
            let mode: Option<String> = arguments.take("read-only-mode")?;
            if let Some(other) = mode.filter(|mode| !matches!(mode.as_str(), "retain" | "read-only")) {
                return Err(Refusal(format!("read-only-mode '{other}': a CD-ROM is only read")));
            }
            let format: Option<String> = arguments.take("format")?;
            let format = format.map(|format| format.parse::<Format>()).transpose();
            ask(Question::ChangeMedium {
                path: arguments.need::<String>("filename")?.into(),
                format: format.map_err(|error| Refusal(error.to_string()))?,
                force: arguments.take("force")?.unwrap_or_default(),
                drive: drive(arguments)?,
            })
        },
    },
    Command {
        name: "set_link",
        arguments: &[
            Argument::new("name", Type::String, "the network device's name, as nvmm-network tells it"),
            Argument::new("up", Type::Boolean, "true: up, false: down"),
        ],
        returns: Type::NOTHING,
        help: "plug in or pull out a network device's cable",
        run: |arguments, _| {
            ask(Question::SetLink { name: arguments.need("name")?, up: arguments.need("up")? })
        },
    },
    Command {
        name: "announce-self",
        arguments: &[
            Argument::optional(
                "interfaces",
                Type::Array(&Type::String),
                "the network devices' names; without them, all",
            ),
            Argument::optional("initial", Type::Uint64, "QEMU's; the guest chooses its own times"),
            Argument::optional("max", Type::Uint64, "the same"),
            Argument::optional("rounds", Type::Uint64, "the same"),
            Argument::optional("step", Type::Uint64, "the same"),
        ],
        returns: Type::NOTHING,
        help: "have the guest tell the network where it is",
        run: |arguments, _| ask(Question::Announce(arguments.take("interfaces")?)),
    },
    Command::simple(
        "nvmm-network",
        returns::NETWORK,
        "list the network devices, and what each did since nvmm started",
        |_, _| ask(Question::Networks),
    ),
    Command::simple(
        "query-cpu-definitions",
        returns::CPU_DEFINITIONS,
        "list the CPU models, and what this host lacks of each",
        |_, _| Ok(Todo::AskKvm(ModelQuestion::Definitions)),
    ),
    Command {
        name: "query-cpu-model-expansion",
        arguments: models::ARGUMENTS,
        returns: returns::CPU_EXPANSION,
        help: "tell what a CPU model is on this host",
        run: |arguments, known| ModelQuestion::expansion(arguments, known.facts.topology).map(Todo::AskKvm),
    },
    Command::simple("inject-nmi", Type::NOTHING, "send an NMI to each vCPU that takes them", |_, _| {
        ask(Question::Nmi(None))
    }),
    Command {
        name: "nvmm-inject-nmi",
        arguments: &[Argument::new("cpu-index", Type::Uint64, "the vCPU")],
        returns: Type::NOTHING,
        help: "send an NMI to one vCPU, whether it takes them or not",
        run: |arguments, _| ask(Question::Nmi(Some(arguments.need("cpu-index")?))),
    },
    Command {
        name: "nvmm-registers",
        arguments: &[Argument::optional("cpu-index", Type::Uint64, "only this vCPU")],
        returns: Type::Any,
        help: "tell the registers, and the interrupt controllers",
        run: |arguments, _| ask(Question::Registers(arguments.take("cpu-index")?)),
    },
    Command {
        name: "memsave",
        arguments: &[
            Argument::new("val", Type::Address, "the virtual address where it begins"),
            SIZE,
            FILENAME,
            Argument::optional(
                "cpu-index",
                Type::Uint64,
                "the vCPU whose page tables count; without it the first",
            ),
        ],
        returns: Type::NOTHING,
        help: "save a range of virtual memory",
        run: |arguments, _| ask(Question::SaveVirtual(arguments.all()?)),
    },
    Command {
        name: "pmemsave",
        arguments: &[
            Argument::new("val", Type::Uint64, "the physical address where it begins"),
            SIZE,
            FILENAME,
        ],
        returns: Type::NOTHING,
        help: "save a range of physical memory",
        run: |arguments, _| ask(Question::SavePhysical(arguments.all()?)),
    },
    Command {
        name: "dump-guest-memory",
        arguments: &[
            Argument::new("paging", Type::Boolean, "true: the core has virtual addresses too"),
            Argument::new("protocol", Type::String, "file:PATH"),
            Argument::optional("detach", Type::Boolean, "false: the answer comes when the core is written"),
            Argument::optional("begin", Type::Uint64, "the first physical address, with length"),
            Argument::optional("length", Type::Uint64, "how many bytes, with begin"),
            Argument::optional("format", Type::Enum(&["elf"]), "the core's format"),
        ],
        returns: Type::NOTHING,
        help: "write an ELF core, for gdb and crash",
        run: |arguments, _| ask(Question::Dump(arguments.all()?)),
    },
    Command {
        name: "nvmm-snapshot-save",
        arguments: &[
            Argument::new("directory", Type::String, "the directory to make"),
            Argument::optional("stop", Type::Boolean, "true: end nvmm once it is saved"),
        ],
        returns: Type::NOTHING,
        help: "save the machine in a directory, for nvmm --restore",
        run: |arguments, _| ask(Question::SaveSnapshot(arguments.all()?)),
    },
    moving::GETFD,
    moving::CLOSEFD,
    moving::MIGRATE,
    moving::QUERY,
    moving::CANCEL,
    Command {
        name: "screendump",
        arguments: screendump::ARGUMENTS,
        returns: Type::NOTHING,
        help: "save the screen's picture in a file",
        run: |arguments, _| ask(Question::Screendump(screendump::screendump(arguments)?)),
    },
    Command {
        name: "send-key",
        arguments: send_key::ARGUMENTS,
        returns: Type::NOTHING,
        help: "press keys of the keyboard, and let them go",
        run: |arguments, _| ask(Question::SendKey(send_key::send_key(arguments)?)),
    },
    Command {
        name: "input-send-event",
        arguments: input_event::ARGUMENTS,
        returns: Type::NOTHING,
        help: "press keys and buttons, and move the pointer",
        run: |arguments, _| ask(Question::SendInput(input_event::input_events(arguments)?)),
    },
    Command {
        name: "human-monitor-command",
        arguments: &[
            Argument::new(
                "command-line",
                Type::String,
                "info registers, info lapic, info pic, info pci, info block, info network, info status, info vnc, sendkey",
            ),
            Argument::optional("cpu-index", Type::Uint64, "the vCPU that it is about; without it the first"),
        ],
        returns: Type::String,
        help: "answer as QEMU's monitor does, in a text",
        run: |arguments, _| {
            let (line, vcpu) = (arguments.need("command-line")?, arguments.take("cpu-index")?.unwrap_or(0));
            ask(Question::Monitor { line, vcpu })
        },
    },
    Command::simple("quit", Type::NOTHING, "end nvmm at once", |_, _| Ok(Todo::Quit)),
];

impl Command {
    /// The command of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn find(name: &str) -> Result<&'static Self, Error> {
        let found = TABLE.iter().find(|command| command.name == name);
        found.ok_or_else(|| Error::CommandNotFound(format!("The command {name} has not been found")))
    }
}

/// The name of the drive that a command is for.
fn drive(arguments: &mut Arguments) -> Result<String, Refusal> {
    let [device, id]: [Option<String>; 2] = [arguments.take("device")?, arguments.take("id")?];
    device.or(id).ok_or_else(|| Refusal("Parameter 'device' is missing".to_owned()))
}

/// QMP's list of `CommandInfo`, with nvmm's help on each.
fn list() -> Value {
    TABLE.iter().map(Command::describe).collect()
}

/// QMP's list of `SchemaInfo`.
fn schema() -> Value {
    let mut schema = Schema::default();
    for command in TABLE {
        schema.command(command.name, command.arguments.iter().map(Argument::member), command.returns);
    }
    for &(name, data) in returns::EVENTS {
        schema.event(name, data);
    }
    schema.list()
}

#[cfg(test)]
#[path = "commands_test.rs"]
mod tests;
