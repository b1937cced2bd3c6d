//! The types of commands' return values and of events' data, for the schema. The names are QAPI's.

use super::types::{Member, Type};

const fn must(name: &'static str, of: Type) -> Member {
    Member::new(name, of)
}

const fn may(name: &'static str, of: Type) -> Member {
    Member::optional(name, of)
}

pub(super) const COMMANDS: Type = Type::Array(&Type::Object(&[
    must("name", Type::String),
    must("help", Type::String),
    must(
        "arguments",
        Type::Array(&Type::Object(&[
            must("name", Type::String),
            must("type", Type::String),
            must("optional", Type::Boolean),
            must("help", Type::String),
            may("values", Type::Array(&Type::String)),
        ])),
    ),
]));

/// `SchemaInfo`; the members that depend on `meta-type` are optional.
pub(super) const SCHEMA: Type = Type::Array(&Type::Object(&[
    must("name", Type::String),
    must("meta-type", Type::Enum(&["builtin", "enum", "array", "object", "alternate", "command", "event"])),
    may("json-type", Type::Enum(&["string", "number", "int", "boolean", "null", "object", "array", "value"])),
    may("values", Type::Array(&Type::String)),
    may("element-type", Type::String),
    may(
        "members",
        Type::Array(&Type::Object(&[
            must("name", Type::String),
            may("type", Type::String),
            may("default", Type::Any),
        ])),
    ),
    may("arg-type", Type::String),
    may("ret-type", Type::String),
]));

pub(super) const VERSION: Type = Type::Object(&[
    must(
        "qemu",
        Type::Object(&[
            must("major", Type::Uint64),
            must("minor", Type::Uint64),
            must("micro", Type::Uint64),
        ]),
    ),
    must("package", Type::String),
]);

pub(super) const STATUS: Type = Type::Object(&[
    must("running", Type::Boolean),
    must(
        "status",
        Type::Enum(&[
            "prelaunch",
            "running",
            "paused",
            "debug",
            "guest-panicked",
            "finish-migrate",
            "postmigrate",
            "shutdown",
        ]),
    ),
]);

/// `VncInfo`; all members except `enabled` are there only with a server.
pub(super) const VNC: Type = Type::Object(&[
    must("enabled", Type::Boolean),
    may("host", Type::String),
    may("family", FAMILY),
    may("service", Type::String),
    may("auth", Type::Enum(&["none", "vnc"])),
    may(
        "clients",
        Type::Array(&Type::Object(&[
            must("host", Type::String),
            must("service", Type::String),
            must("family", FAMILY),
            must("websocket", Type::Boolean),
        ])),
    ),
]);

/// `NetworkAddressFamily`.
const FAMILY: Type = Type::Enum(&["ipv4", "ipv6", "unix"]);

pub(super) const NAME: Type = Type::Object(&[may("name", Type::String)]);

pub(super) const UUID: Type = Type::Object(&[must("UUID", Type::String)]);

pub(super) const KVM: Type = Type::Object(&[must("enabled", Type::Boolean), must("present", Type::Boolean)]);

pub(super) const CPUS: Type = Type::Array(&Type::Object(&[
    must("cpu-index", Type::Uint64),
    must("qom-path", Type::String),
    must("thread-id", Type::Uint64),
    must(
        "props",
        Type::Object(&[
            must("socket-id", Type::Uint64),
            must("die-id", Type::Uint64),
            must("core-id", Type::Uint64),
            must("thread-id", Type::Uint64),
        ]),
    ),
    must("target", Type::Enum(&["x86_64"])),
]));

pub(super) const STATS: Type = Type::Array(&Type::Object(&[
    must("provider", Type::Enum(&["kvm"])),
    may("qom-path", Type::String),
    must("stats", Type::Array(&Type::Object(&[must("name", Type::String), must("value", Type::Any)]))),
]));

pub(super) const BLOCKS: Type = Type::Array(&Type::Object(&[
    must("device", Type::String),
    must("type", Type::String),
    must("removable", Type::Boolean),
    must("locked", Type::Boolean),
    may("tray_open", Type::Boolean),
    may(
        "inserted",
        Type::Object(&[
            must("file", Type::String),
            must("node-name", Type::String),
            must("drv", Type::String),
            must("ro", Type::Boolean),
            may("backing_file", Type::String),
            must(
                "cache",
                Type::Object(&[
                    must("writeback", Type::Boolean),
                    must("direct", Type::Boolean),
                    must("no-flush", Type::Boolean),
                ]),
            ),
            must("iops", Type::Uint64),
            must("bps", Type::Uint64),
            must(
                "image",
                Type::Object(&[
                    must("filename", Type::String),
                    must("format", Type::String),
                    must("virtual-size", Type::Uint64),
                ]),
            ),
        ]),
    ),
]));

pub(super) const BLOCK_STATS: Type = Type::Array(&Type::Object(&[
    must("device", Type::String),
    must("node-name", Type::String),
    must(
        "stats",
        Type::Object(&[
            must("rd_operations", Type::Uint64),
            must("rd_bytes", Type::Uint64),
            must("wr_operations", Type::Uint64),
            must("wr_bytes", Type::Uint64),
            must("flush_operations", Type::Uint64),
            must("unmap_operations", Type::Uint64),
            must("unmap_bytes", Type::Uint64),
            must("nvmm-zero-operations", Type::Uint64),
            must("nvmm-zero-bytes", Type::Uint64),
            must("nvmm-failed-operations", Type::Uint64),
        ]),
    ),
]));

/// The number of frames in one direction.
const FRAMES: Type = Type::Object(&[
    must("frames", Type::Uint64),
    must("bytes", Type::Uint64),
    must(
        "dropped",
        Type::Object(&[
            must("link-down", Type::Uint64),
            must("unwanted", Type::Uint64),
            must("no-room", Type::Uint64),
            must("malformed", Type::Uint64),
            must("refused", Type::Uint64),
        ]),
    ),
]);

pub(super) const NETWORK: Type = Type::Array(&Type::Object(&[
    must("name", Type::String),
    must("place", Type::String),
    must("mac", Type::String),
    may("mtu", Type::Uint64),
    must("queues", Type::Uint64),
    must("link-up", Type::Boolean),
    must("vhost", Type::Boolean),
    may("received", FRAMES),
    may("sent", FRAMES),
]));

const RX_STATE: Type = Type::Enum(&["normal", "none", "all"]);

/// A list of `RxFilterInfo`.
pub(super) const RX_FILTER: Type = Type::Array(&Type::Object(&[
    must("name", Type::String),
    must("promiscuous", Type::Boolean),
    must("multicast", RX_STATE),
    must("unicast", RX_STATE),
    must("vlan", RX_STATE),
    must("broadcast-allowed", Type::Boolean),
    must("multicast-overflow", Type::Boolean),
    must("unicast-overflow", Type::Boolean),
    must("main-mac", Type::String),
    must("vlan-table", Type::Array(&Type::Uint64)),
    must("unicast-table", Type::Array(&Type::String)),
    must("multicast-table", Type::Array(&Type::String)),
]));

pub(super) const CPU_DEFINITIONS: Type = Type::Array(&Type::Object(&[
    must("name", Type::String),
    must("typename", Type::String),
    must("static", Type::Boolean),
    must("migration-safe", Type::Boolean),
    must("deprecated", Type::Boolean),
    must("unavailable-features", Type::Array(&Type::String)),
    may("alias-of", Type::String),
]));

/// `CpuModelInfo`, as nvmm returns it.
const CPU_MODEL: Type = Type::Object(&[must("name", Type::String), must("props", Type::Any)]);

pub(super) const CPU_EXPANSION: Type = Type::Object(&[must("model", CPU_MODEL)]);

const CAUSE: Type = Type::Object(&[
    must("guest", Type::Boolean),
    must(
        "reason",
        Type::Enum(&[
            "host-error",
            "host-qmp-quit",
            "host-qmp-system-reset",
            "host-signal",
            "host-ui",
            "guest-shutdown",
            "guest-reset",
            "guest-panic",
        ]),
    ),
]);

const MIGRATION_STATUS: Type =
    Type::Enum(&["none", "setup", "active", "device", "completed", "failed", "cancelled"]);

/// `MigrationInfo`, as nvmm returns it.
pub(super) const MIGRATION: Type = Type::Object(&[
    may("status", MIGRATION_STATUS),
    may("total-time", Type::Uint64),
    may("downtime", Type::Uint64),
    may("expected-downtime", Type::Uint64),
    may("error-desc", Type::String),
    may(
        "ram",
        Type::Object(&[
            must("total", Type::Uint64),
            must("transferred", Type::Uint64),
            must("remaining", Type::Uint64),
            must("duplicate", Type::Uint64),
            must("normal", Type::Uint64),
            must("normal-bytes", Type::Uint64),
            must("dirty-pages-rate", Type::Uint64),
            must("mbps", Type::Uint64),
            must("dirty-sync-count", Type::Uint64),
            must("page-size", Type::Uint64),
        ]),
    ),
]);

/// The events, with the types of their data.
pub(super) const EVENTS: &[(&str, Type)] = &[
    ("STOP", Type::NOTHING),
    ("RESUME", Type::NOTHING),
    ("POWERDOWN", Type::NOTHING),
    ("RESET", CAUSE),
    ("SHUTDOWN", CAUSE),
    ("MIGRATION", Type::Object(&[must("status", MIGRATION_STATUS)])),
    ("GUEST_PANICKED", Type::Object(&[must("action", Type::Enum(&["pause", "poweroff", "run"]))])),
];
