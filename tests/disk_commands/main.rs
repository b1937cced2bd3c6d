//! `nvmm disk` on images made by qemu-img, as users run it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod convert;
mod create;
mod images;
mod info;
mod refuse;
#[path = "../support/mod.rs"]
mod support;
