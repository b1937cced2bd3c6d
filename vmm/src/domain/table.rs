//! Tables of elements, each with the way to handle it.

use super::{
    part::{Part, Rule},
    reader::Reader,
};

/// The way to handle an element.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// A function reads it.
    Reads(for<'f, 'd> fn(&mut Reader<'f, 'd>, Part<'f, 'd>)),
    /// nvmm does nothing for it, but reports this.
    Is(Rule),
}

/// Reads the child elements by a table. Those that are not in it stay unread, which becomes an error in the end.
pub(super) fn follow<'f, 'd>(table: &[(&str, Way)], reader: &mut Reader<'f, 'd>, element: Part<'f, 'd>) {
    let found = table.iter().find(|(name, _)| *name == element.name() && !element.is_foreign());
    match found {
        Some((_, Way::Reads(read))) => read(reader, element.seen()),
        Some((_, Way::Is(rule))) => element.leave(*rule),
        None => {}
    }
}
