use devices::irq::Line;

/// The line of a device without an interrupt.
#[derive(Debug)]
pub(super) struct Unwired;

impl Line for Unwired {
    fn set(&self, _high: bool) {}
}
