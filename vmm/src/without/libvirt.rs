//! The place of [`libvirt`](self) in an nvmm without the feature of that name.

use arch::cpu::spec::CpuSpec;
use thiserror::Error;

use crate::smp::Smp;

/// The CPU that a `<cpu>` element asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuElement {
    /// The CPU.
    pub spec: CpuSpec,
    /// `<topology>`.
    pub topology: Option<Smp>,
    /// Other wishes of the domain.
    pub ignored: Vec<XmlError>,
}

/// The reason why no `<cpu>` element can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this nvmm was built without libvirt's XML (the cargo feature libvirt)")]
pub struct XmlError;

/// Reads nothing.
///
/// # Errors
///
/// Always.
pub fn parse(_text: &str) -> Result<CpuElement, XmlError> {
    Err(XmlError)
}
