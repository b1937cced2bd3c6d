//! Makes findings by severity.

use crate::check::report::{Finding, Severity};

pub(super) fn ok(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Ok, found)
}

pub(super) fn info(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Info, found)
}

pub(super) fn warning(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Warning, found)
}

pub(super) fn problem(id: &'static str, found: impl Into<String>) -> Finding {
    Finding::new(id, Severity::Problem, found)
}
