//! Bellhop.
fn main() {}
