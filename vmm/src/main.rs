//! nvmm
fn main() {}
