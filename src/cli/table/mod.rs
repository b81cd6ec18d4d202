//! Tables: columns as wide as what stands in them, no frames, so that `grep` and `awk` like them too. On a terminal
//! they fit its width.

mod layout;

use std::io::{self, Write};

use super::{output::harmless, terminal::Surface};

/// A table that is being filled.
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str; COLUMNS]) -> Self {
        Self {
            rows: vec![headings.map(str::to_uppercase)],
        }
    }

    /// Adds a row. Control characters of foreign texts do not reach the terminal.
    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| harmless(&cell, false)));
    }

    /// Whether there is nothing but headings.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Its lines, headings first, as they fit the standard output.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines_on(Surface::of_output())
    }

    /// The same elsewhere.
    pub(super) fn lines_on(&self, surface: Surface) -> Vec<String> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.to_vec()).collect();
        layout::lines(&rows, surface)
    }

    /// Writes it to the standard output.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// What stands where nothing is known.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
