use std::{fmt, ops::Range};

use super::SourceFile;

/// One thing that is wrong in a rule file: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the file, as it was handed in.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            what,
            remedy,
        } = self;
        write!(f, "{file}:{line}:{column}: {what}; {remedy}")
    }
}

impl std::error::Error for Mistake {}

/// What is wrong inside one text of a rule (a condition, a template), before anybody knows where
/// in the file that text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Byte offset in the text.
    pub(super) at: usize,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Refusal {
    pub(super) fn new(at: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Collects the mistakes of one file, so that all are told at once.
pub(super) struct Notebook<'f> {
    file: &'f SourceFile,
    mistakes: Vec<Mistake>,
}

impl<'f> Notebook<'f> {
    pub(super) fn new(file: &'f SourceFile) -> Self {
        Self {
            file,
            mistakes: Vec::new(),
        }
    }

    /// Notes a mistake at a byte offset of the file.
    pub(super) fn note(&mut self, at: usize, what: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = position(&self.file.text, at);
        self.mistakes.push(Mistake {
            file: self.file.name.clone(),
            line,
            column,
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Notes a refusal inside the text that stands at `span` in the file.
    pub(super) fn note_inside(&mut self, span: &Range<usize>, value: &str, refusal: Refusal) {
        let at = self.offset_inside(span, value, refusal.at);
        self.note(at, refusal.what, refusal.remedy);
    }

    /// Where in the file byte `offset` of a text stands. Exact unless the text is written with
    /// escapes; then the start of the text has to do.
    fn offset_inside(&self, span: &Range<usize>, value: &str, offset: usize) -> usize {
        let raw = self.file.text.get(span.clone()).unwrap_or_default();
        let start = if value.is_empty() { None } else { raw.find(value) };
        span.start + start.map_or(0, |start| start + offset.min(value.len()))
    }

    pub(super) fn line_of(&self, at: usize) -> usize {
        position(&self.file.text, at).0
    }

    pub(super) fn file_name(&self) -> &str {
        &self.file.name
    }

    pub(super) fn count(&self) -> usize {
        self.mistakes.len()
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

/// Line and column, both from 1, of a byte offset. An offset inside a character counts as its start.
fn position(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// `did you mean …?` when a valid word is near, else the list of valid words.
pub(super) fn suggest(word: &str, valid: &[&str]) -> String {
    match nearest(word, valid) {
        Some(near) => format!("did you mean `{near}`?"),
        None if valid.is_empty() => "there is none to choose from".to_owned(),
        None => format!("possible are `{}`", valid.join("`, `")),
    }
}

/// The valid word with the fewest edits, when these are few.
pub fn nearest<'w>(word: &str, valid: &[&'w str]) -> Option<&'w str> {
    let length = word.chars().count();
    if length > 60 {
        return None;
    }
    valid
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= tolerance(length.max(candidate.len())))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// How many edits make a word another one. Two in a short word are one swapped pair of letters.
fn tolerance(length: usize) -> usize {
    if length < 4 { 1 } else { (length / 3).max(2) }
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_never_split_one() {
        let text = "é = 1\nü = \"ß\"\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 1), (1, 1));
        assert_eq!(position(text, 2), (1, 2));
        assert_eq!(position(text, 7), (2, 1));
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("percnt", &["percent", "discount"]), Some("percent"));
        assert_eq!(nearest("zzz", &["percent", "discount"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
