//! How a table fits a terminal. It gives way in steps, each only as far as it must: headings, seconds of dates, the
//! last column (which goes under its row when it is prose), dates without years, an application that is the same in each
//! row, and then the widest texts. Numbers and states stay whole.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cli::terminal::Surface;

/// Between two columns.
const GAP: usize = 2;
/// No text gets narrower.
const LEAST: usize = 6;
/// What is wider is prose.
const PROSE: usize = 16;
/// Where prose stands when it goes under its row.
const INDENT: usize = 4;
const APPLICATION: &str = "APPLICATION";
/// Headings of columns with one of few words in each cell.
const STATES: [&str; 6] = ["STATE", "STATUS", "RESULT", "CONNECTION", "FROM", "TO"];

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Lines of a table, the first of whose rows are the headings.
pub(super) fn lines(rows: &[Vec<String>], surface: Surface) -> Vec<String> {
    let mut layout = Layout {
        rows: rows.to_vec(),
        headings: rows.first().cloned().unwrap_or_default(),
        folded: None,
        note: None,
    };
    if let Some(width) = surface.width {
        layout.fit(width);
    }
    layout.draw(surface)
}

struct Layout {
    rows: Vec<Vec<String>>,
    /// As they were, whatever is left of them.
    headings: Vec<String>,
    /// The column that stands under its rows.
    folded: Option<Vec<String>>,
    /// What stands below instead of in each row.
    note: Option<String>,
}

impl Layout {
    fn fit(&mut self, width: usize) {
        let steps: [fn(&mut Self); 6] = [
            Self::shorten_headings,
            Self::drop_empty,
            |layout| layout.shorten_dates(16),
            Self::fold_prose,
            |layout| layout.shorten_dates(11),
            Self::say_the_application_once,
        ];
        for step in steps {
            if self.width() <= width {
                return;
            }
            step(self);
        }
        while self.width() > width {
            let widths = self.widths();
            let texts = (0..widths.len()).filter(|column| self.is_text(*column) && widths[*column] > LEAST);
            let Some(widest) = texts.max_by_key(|column| widths[*column]) else {
                return;
            };
            for row in &mut self.rows {
                row[widest] = cut(&row[widest], widths[widest] - 1);
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max();
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }

    fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    fn body(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().skip(1).map(move |row| row[column].as_str())
    }

    /// Whether something may be cut off: not of numbers, dates and states.
    fn is_text(&self, column: usize) -> bool {
        let is_number = |cell: &str| cell.chars().all(|c| c.is_ascii_digit() || "-/.: TZ".contains(c));
        !STATES.contains(&self.headings[column].as_str()) && !self.body(column).all(is_number)
    }

    fn shorten_headings(&mut self) {
        for column in 0..self.headings.len() {
            let widest = self.body(column).map(UnicodeWidthStr::width).max().unwrap_or(0);
            self.rows[0][column] = cut(&self.headings[column], widest.max(LEAST));
        }
    }

    /// `2026-12-07T21:58:33Z` becomes `2026-12-07 21:58`, or without the year.
    fn shorten_dates(&mut self, length: usize) {
        for cell in self.rows.iter_mut().skip(1).flatten() {
            let text = cell.replacen('T', " ", 1);
            let is_date = matches!(cell.len(), 16 | 20)
                && chrono::NaiveDateTime::parse_from_str(&text[..text.len().min(16)], "%Y-%m-%d %H:%M").is_ok();
            if is_date {
                *cell = text[16 - length..16].to_owned();
            }
        }
    }

    fn drop_empty(&mut self) {
        for column in (0..self.headings.len()).rev() {
            if self.rows.len() > 1 && self.body(column).all(str::is_empty) {
                self.remove(column);
            }
        }
    }

    fn remove(&mut self, column: usize) {
        self.headings.remove(column);
        for row in &mut self.rows {
            row.remove(column);
        }
    }

    /// Most have one application only.
    fn say_the_application_once(&mut self) {
        let Some(column) = self.headings.iter().position(|heading| heading == APPLICATION) else {
            return;
        };
        let mut all = self.body(column).map(str::to_owned);
        let Some(first) = all.next() else { return };
        if all.all(|other| other == first) {
            drop(all);
            self.remove(column);
            self.note = Some(format!("{APPLICATION} is {first} in every row."));
        }
    }

    fn fold_prose(&mut self) {
        let Some(last) = self.headings.len().checked_sub(1).filter(|last| *last > 0) else {
            return;
        };
        if self.is_text(last) && self.body(last).any(|cell| cell.width() > PROSE) {
            self.folded = Some(self.rows.iter_mut().filter_map(Vec::pop).collect());
        }
    }

    fn draw(&self, surface: Surface) -> Vec<String> {
        let widths = self.widths();
        let mut lines = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let paint = paint(&self.headings[column], cell).filter(|_| surface.colours && number > 0);
                let space = " ".repeat(width - cell.width() + GAP);
                match paint {
                    Some(colour) => line.push_str(&format!("{colour}{cell}{PLAIN}{space}")),
                    None => line.push_str(&format!("{cell}{space}")),
                }
            }
            lines.push(line.trim_end().to_owned());
            if let Some(prose) = self.folded.as_ref().map(|cells| &cells[number]).filter(|_| number > 0) {
                let width = surface.width.unwrap_or(usize::MAX);
                lines.extend(wrapped(prose, width.saturating_sub(INDENT)).map(|part| format!("{:INDENT$}{part}", "")));
            }
        }
        lines.extend(self.note.clone());
        lines
    }
}

/// The colour of a state: green is well, yellow waits, red went wrong, dim is over.
fn paint(heading: &str, cell: &str) -> Option<&'static str> {
    if !STATES.contains(&heading) {
        return None;
    }
    match cell.split(' ').next().unwrap_or("") {
        "active" | "processed" | "completed" | "fired" | "fire" | "done" | "agree" | "matches" => Some(GREEN),
        "pending" | "frozen" | "received" | "available" | "running" | "requested" | "activating" | "external"
        | "intended" | "unknown" | "held" | "would" | "open" => Some(YELLOW),
        "failed" | "discarded" | "rejected" | "quarantined" | "expired" | "refused" | "differs" => Some(RED),
        "uninstalled" | "cancelled" | "duplicate" | "skipped" | "skip" | "shadow" | "not_connected" | "ignored" => {
            Some(DIM)
        }
        _ => None,
    }
}

/// A text that is no wider than this; what is missing is shown by three dots.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.trim_end_matches('…').chars() {
        if cut.width() + c.width().unwrap_or(0) + 1 > width {
            break;
        }
        cut.push(c);
    }
    format!("{}…", cut.trim_end())
}

/// Pieces of a text that are no wider than this, broken between words where there are any.
fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("one line at least");
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{event::State, installation::Status},
        store::{ledger, reading::jobs},
    };

    fn drawn(width: Option<usize>, colours: bool, rows: &[&[&str]]) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        lines(&rows, Surface { width, colours })
    }

    const JOBS: &[&[&str]] = &[
        &["ID", "CREATED", "APPLICATION", "RULE", "STATE", "ERROR"],
        &[
            "7",
            "2026-12-07T21:58:33Z",
            "18289",
            "welcome-discount-of-the-week",
            "completed",
            "",
        ],
        &[
            "8",
            "2026-12-07T21:58:34Z",
            "18289",
            "payment-link",
            "discarded",
            "the marketplace answered 422: the tariff is not there",
        ],
    ];

    #[test]
    fn nothing_is_taken_away_where_there_is_room_or_no_terminal() {
        let whole = drawn(None, false, JOBS);
        assert_eq!(whole, drawn(Some(200), false, JOBS));
        assert!(whole[2].ends_with("discarded  the marketplace answered 422: the tariff is not there"));
    }

    #[test]
    fn prose_goes_under_its_row_before_anything_is_cut() {
        assert_eq!(
            drawn(Some(80), false, JOBS),
            [
                "ID  CREATED           APPLI…  RULE                          STATE",
                "7   2026-12-07 21:58  18289   welcome-discount-of-the-week  completed",
                "8   2026-12-07 21:58  18289   payment-link                  discarded",
                "    the marketplace answered 422: the tariff is not there",
            ]
        );
        let narrow = drawn(Some(50), false, JOBS);
        assert_eq!(narrow[1], "7   12-07 21:58  welcome-discount-of-t…  completed");
    }

    #[test]
    fn states_have_colours_and_take_no_room_for_them() {
        let coloured = drawn(Some(200), true, JOBS);
        assert!(coloured[1].contains("\x1b[32mcompleted\x1b[0m"), "{coloured:?}");
        assert!(coloured[2].contains("\x1b[31mdiscarded\x1b[0m  the"), "{coloured:?}");
        assert!(!coloured[0].contains('\x1b'));
    }

    #[test]
    fn every_state_has_a_colour() {
        let events = State::ALL.iter().map(|state| state.as_str());
        let places = Status::ALL.iter().map(|status| status.as_str());
        let money = ledger::State::ALL.iter().map(|state| state.as_str());
        let work = jobs::State::ALL.iter().map(|state| state.as_str());
        for word in events.chain(places).chain(money).chain(work) {
            assert!(paint("STATE", word).is_some(), "{word}");
        }
        assert_eq!(paint("RULE", "failed"), None);
    }

    #[test]
    fn wide_letters_are_counted_as_they_are_drawn() {
        let rows: &[&[&str]] = &[&["TITLE", "ID"], &["髪のサロン", "1"], &["Усы", "2"]];
        assert_eq!(
            drawn(None, false, rows),
            ["TITLE       ID", "髪のサロン  1", "Усы         2"]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_a_usual_terminal(cells in prop::collection::vec("[a-z ]{0,40}", 12), width in 60_usize..120) {
            let rows: Vec<Vec<String>> = std::iter::once(vec!["ID".to_owned(), "RULE".to_owned(), "ERROR".to_owned()])
                .chain(cells.chunks(3).map(<[String]>::to_vec))
                .collect();
            for line in lines(&rows, Surface { width: Some(width), colours: false }) {
                prop_assert!(line.width() <= width, "{line}");
            }
        }
    }
}
