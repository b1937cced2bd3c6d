//! `--expect` and `--send`: a script on COM1, for jobs that log in and run something.
//!
//! ```text
//! UART ──Tap──> file, terminal, socket ...
//!         │ holds each byte against what is waited for
//!         └──"met"──> ScriptSource ──Request::Type──> session ──Notice::Types──> Port ──> UART
//! ```

mod clock;
mod matcher;
mod pattern;
pub mod plain;
mod script;
mod source;
mod tap;

pub use self::script::Script;
pub(crate) use self::{
    pattern::{Pattern, PatternError},
    script::Expect,
    source::start,
    tap::Tap,
};
