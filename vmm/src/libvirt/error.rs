//! The faults of a `<cpu>` element, each with its place.

use std::borrow::Cow;

use arch::cpu::spec::SpecError;
use thiserror::Error;

/// A `<cpu>` element that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct XmlError {
    /// The line, from 1.
    pub line: u32,
    /// The character in it, from 1.
    pub column: u32,
    /// The fault there. Boxed, as most results are no errors.
    pub problem: Box<Problem>,
}

/// A fault of a `<cpu>` element.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file is something else, or broken.
    #[error("no XML: {0}")]
    Malformed(String),
    /// The outermost element is another.
    #[error("<{0}>: give libvirt's <cpu>, alone or inside a <domain>")]
    Root(String),
    /// A part that can stand once stands twice.
    #[error("a second <{element}> in <{parent}>; keep one")]
    Second {
        /// The element.
        element: String,
        /// The element that it is in.
        parent: String,
    },
    /// An element that nvmm does not know or do.
    #[error("<{element}> in <{parent}>: {why}")]
    Element {
        /// The element.
        element: String,
        /// The element that it is in.
        parent: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// A text in an element that nvmm does not know or do.
    #[error("<{element}>{text}</{element}>: {why}")]
    Content {
        /// The element.
        element: String,
        /// Its text.
        text: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// An attribute, or its value, that nvmm does not know or do.
    #[error("{attribute}='{value}' of <{element}>: {why}")]
    Attribute {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
        /// Whose it is.
        element: String,
        /// Why not, and what to do.
        why: Cow<'static, str>,
    },
    /// An attribute that has to be there.
    #[error("<{element}> has no {attribute}")]
    Missing {
        /// The attribute.
        attribute: &'static str,
        /// Whose it is.
        element: String,
    },
    /// Text between elements.
    #[error("<{element}> has the text {text:?} in it; take it out")]
    Text {
        /// The element that it is in.
        element: String,
        /// The text.
        text: String,
    },
    /// A name of no model or feature.
    #[error(transparent)]
    Name(#[from] SpecError),
}

impl XmlError {
    pub(super) fn malformed(error: &roxmltree::Error) -> Self {
        let at = error.pos();
        // The position stands in front of the message already.
        let message = error.to_string().replacen(&format!(" at {at}"), "", 1);
        Self { line: at.row, column: at.col, problem: Box::new(Problem::Malformed(message)) }
    }
}
