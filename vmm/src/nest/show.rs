//! Shows a finished run: a table for the terminal, JUnit for CI, an HTML page.
//!
//! Much of a record was reported by the levels, and a broken one may report anything: text is shown with `words::plain` or
//! `words::escape`.

mod cells;
mod costs;
mod differences;
mod html;
mod junit;
mod program;
mod table;
mod timeline;
mod words;

pub use cells::summary;
pub use html::html;
pub use junit::junit;
pub use table::table;

#[cfg(test)]
#[path = "show/show_test.rs"]
mod tests;
