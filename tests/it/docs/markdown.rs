//! As much Markdown as the documents use.

use std::fs;
use std::path::{Path, PathBuf};

/// What runs the program elsewhere.
const WRAPPERS: [&str; 4] = [
    "sudo -u bellhop ",
    "docker compose exec bellhop-1 ",
    "kubectl -n bellhop exec bellhop-0 -- ",
    "target/release/",
];

/// A document.
pub(crate) struct Document {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// The line of its first line, from 1.
    pub(crate) line: usize,
}

impl Document {
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self {
            file: file.to_owned(),
            text,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.file.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), open.as_mut()) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => {
                    open = Some(Block {
                        language: language.trim().to_owned(),
                        text: String::new(),
                        line: number + 2,
                    });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fenced block is not closed", self.name());
        blocks
    }

    /// The text without its fenced blocks.
    fn prose(&self) -> String {
        let parts: Vec<&str> = self.text.split("\n```").step_by(2).collect();
        parts.join("\n")
    }

    /// What stands between single backquotes.
    pub(crate) fn codes(&self) -> Vec<String> {
        let prose = self.prose();
        // A code may go on in the next line, as any text does.
        let codes = prose.split('`').skip(1).step_by(2);
        codes.map(|code| code.replace('\n', " ")).collect()
    }

    pub(crate) fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let ends = prose.split("](").skip(1);
        ends.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
            .collect()
    }

    /// The names of the headings, as links use them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter_map(|line| line.strip_prefix('#'));
        headings
            .map(|heading| {
                let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
                let heading = heading.trim_start_matches('#').trim().to_lowercase();
                heading.chars().filter(kept).collect::<String>().replace(' ', "-")
            })
            .collect()
    }

    /// Every line, in a block of shell or between backquotes, that calls the program; `a|b` stands for two lines.
    pub(crate) fn commands(&self) -> Vec<String> {
        let shell = self.blocks().into_iter().filter(|block| block.language == "sh");
        let lines = shell.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
        let without_comment = |line: String| line.split(" #").next().unwrap_or_default().trim().to_owned();
        let called = |line: String| {
            let unwrapped = WRAPPERS.iter().find_map(|wrapper| line.strip_prefix(wrapper));
            let line = unwrapped.map_or(line.clone(), str::to_owned);
            line.starts_with("bellhop ").then_some(line)
        };
        let lines = lines.chain(self.codes()).map(without_comment).filter_map(called);
        lines.flat_map(|line| alternatives(&line)).collect()
    }
}

fn alternatives(line: &str) -> Vec<String> {
    let Some(word) = line.split_whitespace().find(|word| word.contains('|') && *word != "|") else {
        return vec![line.to_owned()];
    };
    let one = |choice| line.replacen(word, choice, 1);
    word.split('|').flat_map(|choice| alternatives(&one(choice))).collect()
}

#[test]
fn blocks_codes_links_and_commands_are_found() {
    let document = Document {
        file: "a.md".into(),
        text: "# One, two\nSay `a\nb` or [see](c.md#d).\n```sh\nbellhop serve # now\nsudo -u bellhop bellhop check\ncd x\n```\nThen `bellhop a|b list`.\n"
            .to_owned(),
    };
    assert_eq!(document.codes(), ["a b", "bellhop a|b list"]);
    assert_eq!(document.links(), ["c.md#d"]);
    assert_eq!(document.anchors(), ["one-two"]);
    assert_eq!(
        document.commands(),
        ["bellhop serve", "bellhop check", "bellhop a list", "bellhop b list"]
    );
    assert_eq!(document.blocks()[0].line, 5);
}
