//! Tables for a terminal: columns as wide as what stands in them, no frames, so that `grep` and `awk`
//! like them too.

use std::io::{self, Write};

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
        self.rows
            .push(cells.map(|cell| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()));
    }

    /// Writes it to the standard output.
    pub(super) fn print(&self) -> io::Result<()> {
        let widths: Vec<usize> = (0..COLUMNS)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut out = io::stdout().lock();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let pad = width - cell.chars().count() + 2;
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What stands where nothing is known.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
