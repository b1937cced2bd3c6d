//! Tables of elements, each with the way to read it.

use super::{
    part::{Part, Rule},
    reader::Reader,
};

/// The way to read an element.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// nvmm does something for it.
    Reads(for<'f, 'd> fn(&mut Reader<'f, 'd>, Part<'f, 'd>)),
    /// nvmm does nothing for it.
    Is(Rule),
}

/// Reads an element as a table says. What is not there stays unread, which is an error in the end.
pub(super) fn follow<'f, 'd>(table: &[(&str, Way)], reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let found = table.iter().find(|(name, _)| *name == element.name() && !element.is_foreign());
    match found {
        Some((_, Way::Reads(read))) => read(reader, element.seen()),
        Some((_, Way::Is(rule))) => element.leave(*rule),
        None => {}
    }
}
