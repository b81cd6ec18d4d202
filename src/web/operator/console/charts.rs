//! Columns over time, two kinds of things in each: one above the line, one below. Only numbers are computed here; the
//! macro `chart` of `parts.html` draws them.

use serde::Serialize;

/// Units of the drawing; it is scaled to the width of the page.
const WIDTH: i64 = 480;

/// Height of both parts together, without the line between.
const HEIGHT: i64 = 100;

/// A part of a column is at least so high when it is not empty.
const VISIBLE: i64 = 2;

/// A chart.
#[derive(Serialize)]
pub(super) struct Chart {
    width: i64,
    height: i64,
    /// Where the line is.
    line: i64,
    columns: Vec<Column>,
    /// What a column stands for, such as an hour.
    each: &'static str,
    /// What stands above, and what below the line.
    words: [&'static str; 2],
    totals: [i64; 2],
    /// The most in one column.
    most: [i64; 2],
}

#[derive(Serialize)]
struct Column {
    label: String,
    counts: [i64; 2],
    x: i64,
    width: i64,
    /// Upper end and height of both parts.
    parts: [(i64, i64); 2],
}

impl Chart {
    /// Draws columns, oldest first.
    pub(super) fn new(each: &'static str, words: [&'static str; 2], columns: Vec<(String, [i64; 2])>) -> Self {
        let sum = |part: usize| columns.iter().map(|(_, counts)| counts[part]).sum();
        let most = |part: usize| columns.iter().map(|(_, counts)| counts[part]).max().unwrap_or(0);
        let (totals, most) = ([sum(0), sum(1)], [most(0), most(1)]);
        let whole = (most[0] + most[1]).max(1);
        let high = |count: i64| match count {
            0 => 0,
            count => (count * HEIGHT / whole).max(VISIBLE),
        };
        let line = high(most[0]).max(VISIBLE);
        let step = WIDTH / i64::try_from(columns.len()).unwrap_or(WIDTH).max(1);
        let columns = columns.into_iter().zip(0..).map(|((label, counts), at)| {
            let (above, below) = (high(counts[0]), high(counts[1]));
            Column {
                label,
                counts,
                x: at * step,
                width: step - 2,
                parts: [(line - above, above), (line + 1, below)],
            }
        });
        Self {
            width: WIDTH,
            height: line + 1 + high(most[1]).max(VISIBLE),
            line,
            columns: columns.collect(),
            each,
            words,
            totals,
            most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_little_can_be_seen_and_what_is_nothing_is_not_drawn() {
        let columns = vec![
            ("a".to_owned(), [0, 0]),
            ("b".to_owned(), [9_999, 0]),
            ("c".to_owned(), [1, 1]),
        ];
        let chart = Chart::new("hour", ["taken", "refused"], columns);
        assert_eq!((chart.totals, chart.most), ([10_000, 1], [9_999, 1]));
        let parts: Vec<_> = chart.columns.iter().map(|column| column.parts).collect();
        assert_eq!(parts[0], [(chart.line, 0), (chart.line + 1, 0)]);
        assert_eq!(parts[1][0], (0, chart.line));
        assert_eq!(parts[2], [(chart.line - VISIBLE, VISIBLE), (chart.line + 1, VISIBLE)]);
        assert!(chart.columns.iter().all(|column| column.x + column.width <= WIDTH));
    }

    #[test]
    fn where_nothing_happened_a_line_is_drawn() {
        let chart = Chart::new("day", ["connected", "uninstalled"], Vec::new());
        assert_eq!((chart.totals, chart.most, chart.columns.len()), ([0, 0], [0, 0], 0));
        assert!(chart.height > 0);
    }
}
