//! A finished run, for those who read it: a table for the terminal, JUnit for CI, a page of HTML.
//!
//! Much of a record is what the levels said of themselves, and a broken one may say anything: text goes through [`words::plain`]
//! or [`words::escape`].

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
