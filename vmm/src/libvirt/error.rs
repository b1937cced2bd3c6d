//! The faults of a `<cpu>` element, each with its place.

use std::borrow::Cow;

use arch::cpu::spec::SpecError;
use thiserror::Error;

/// A fault in a `<cpu>` element, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct XmlError {
    /// The line, from 1 on.
    pub line: u32,
    /// The character in the line, from 1 on.
    pub column: u32,
    /// The fault there. Boxed, as most results are no errors.
    pub problem: Box<Problem>,
}

/// A fault of a `<cpu>` element.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file is not XML, or broken.
    #[error("no XML: {0}")]
    Malformed(String),
    /// The outermost element is another one.
    #[error("<{0}>: give libvirt's <cpu>, alone or inside a <domain>")]
    Root(String),
    /// An element that may occur once occurs twice.
    #[error("a second <{element}> in <{parent}>; keep one")]
    Second {
        /// The element.
        element: String,
        /// The element that contains it.
        parent: String,
    },
    /// An element that nvmm does not support.
    #[error("<{element}> in <{parent}>: {why}")]
    Element {
        /// The element.
        element: String,
        /// The element that contains it.
        parent: String,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// A text in an element that nvmm does not support.
    #[error("<{element}>{text}</{element}>: {why}")]
    Content {
        /// The element.
        element: String,
        /// The text.
        text: String,
        /// The reason, and what to do.
        why: &'static str,
    },
    /// An attribute or its value that nvmm does not support.
    #[error("{attribute}='{value}' of <{element}>: {why}")]
    Attribute {
        /// The attribute.
        attribute: String,
        /// The value.
        value: String,
        /// The element that has it.
        element: String,
        /// The reason, and what to do.
        why: Cow<'static, str>,
    },
    /// A required attribute is missing.
    #[error("<{element}> has no {attribute}")]
    Missing {
        /// The attribute.
        attribute: &'static str,
        /// The element that should have it.
        element: String,
    },
    /// Text between elements.
    #[error("<{element}> has the text {text:?} in it; take it out")]
    Text {
        /// The element that contains it.
        element: String,
        /// The text.
        text: String,
    },
    /// An unknown name of a model or feature.
    #[error(transparent)]
    Name(#[from] SpecError),
}

impl XmlError {
    pub(super) fn malformed(error: &roxmltree::Error) -> Self {
        let at = error.pos();
        // The message already begins with the position.
        let message = error.to_string().replacen(&format!(" at {at}"), "", 1);
        Self { line: at.row, column: at.col, problem: Box::new(Problem::Malformed(message)) }
    }
}
