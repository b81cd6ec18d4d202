//! What commands print. Standard output may be a pipe whose reader has seen enough, such as `head`: the
//! error goes up to `main`, which takes it for a good end, where `println!` would panic.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Result;

/// Prints a text and ends the line; the command has done what it was asked.
pub(super) fn tell(text: &str) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(text.trim_end().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// `1 rule`, `2 rules`.
pub(super) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// A foreign text as it may stand on a terminal: what would move the cursor becomes a space, so that nobody
/// writes over our lines. Line ends stay where `lines` are wanted.
pub(super) fn harmless(text: &str, lines: bool) -> String {
    let harmless = |c: char| match c {
        '\n' if lines => c,
        // Controls, and marks that turn the direction of writing.
        c if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            ' '
        }
        c => c,
    };
    text.chars().map(harmless).collect()
}
