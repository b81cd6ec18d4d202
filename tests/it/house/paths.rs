//! The paths a file names (`crate::a::b`, `use crate::{a, b::{c, d}}`), and where in the file they stand.

use super::lexer::{Token, tokens};

/// A path as written, groups taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Within `#[…]`.
    pub(crate) in_attribute: bool,
    /// How many inline modules (`mod x { … }`) enclose it.
    pub(crate) depth: usize,
}

/// Every path of two or more segments, and every single word of a `use`.
pub(crate) fn paths(source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        paths: Vec::new(),
        braces: Vec::new(),
        attribute: None,
    };
    reader.read();
    reader.paths
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    paths: Vec<Path>,
    /// For every open brace, whether it is a module's.
    braces: Vec<bool>,
    /// The brackets open in the attribute being read.
    attribute: Option<usize>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.text {
                "{" => self.braces.push(self.at >= 2 && self.word(self.at - 2) == "mod"),
                "}" => drop(self.braces.pop()),
                "#" if self.opens_attribute() => self.attribute = Some(0),
                "[" => self.attribute = self.attribute.map(|open| open + 1),
                "]" => self.attribute = self.attribute.and_then(|open| (open > 1).then(|| open - 1)),
                "use" => {
                    self.at += 1;
                    self.path(&[], true);
                    continue;
                }
                _ if token.is_identifier() => {
                    self.path(&[], false);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads one path with its groups, from the word at hand to behind its end.
    fn path(&mut self, before: &[String], is_use: bool) {
        let mut segments = before.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        if self.word(self.at) == "::" {
            self.at += 1;
        }
        loop {
            match self.tokens.get(self.at) {
                Some(token) if token.is_identifier() || token.text == "*" => segments.push(token.text.to_owned()),
                Some(token) if is_use && token.text == "{" => return self.group(&segments),
                _ => break,
            }
            self.at += 1;
            if self.word(self.at) != "::" {
                break;
            }
            self.at += 1;
        }
        if segments.len() > 1 || (is_use && !segments.is_empty()) {
            let depth = self.braces.iter().filter(|is_module| **is_module).count();
            self.paths.push(Path {
                segments,
                line,
                in_attribute: self.attribute.is_some(),
                depth,
            });
        }
    }

    fn group(&mut self, before: &[String]) {
        self.at += 1;
        while let Some(token) = self.tokens.get(self.at) {
            match token.text {
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                "as" => self.at += 2,
                "{" | "::" => self.path(before, true),
                _ if token.is_identifier() || token.text == "*" => self.path(before, true),
                _ => self.at += 1,
            }
        }
    }

    fn opens_attribute(&self) -> bool {
        self.word(self.at + 1) == "[" || (self.word(self.at + 1) == "!" && self.word(self.at + 2) == "[")
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &str) -> Vec<String> {
        paths(source).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            written("use crate::{a, b::{c, d::E}, f};"),
            ["crate::a", "crate::b::c", "crate::b::d::E", "crate::f"]
        );
        assert_eq!(
            written("use crate::a::{self, B as C};"),
            ["crate::a::self", "crate::a::B"]
        );
        assert_eq!(written("pub use crate::a::*;"), ["crate::a::*"]);
        assert_eq!(written("use {crate::a, std::env};"), ["crate::a", "std::env"]);
        assert_eq!(written("use sqlx as db;"), ["sqlx"]);
        assert_eq!(written("use ::sqlx::PgPool;"), ["sqlx::PgPool"]);
    }

    #[test]
    fn paths_inside_code_are_found() {
        assert_eq!(
            written("fn f(x: crate::a::B<crate::c::D>) { crate::e::f::<G>(); x.y }"),
            ["crate::a::B", "crate::c::D", "crate::e::f"]
        );
        assert_eq!(written("pub(crate) struct A; pub(in crate::b) struct C;"), ["crate::b"]);
        assert_eq!(
            written("<T as crate::a::B>::c(); sqlx::query!(\"crate::d\")"),
            ["crate::a::B", "sqlx::query"]
        );
    }

    #[test]
    fn attributes_and_inline_modules_are_known() {
        let source =
            "#[derive(Debug, a::B)]\nstruct C([u8; 2]);\nfn d() { e::f() }\nmod tests { fn g() { h::i } }\nj::k";
        let found: Vec<_> = paths(source)
            .into_iter()
            .map(|path| (path.segments.join("::"), path.line, path.in_attribute, path.depth))
            .collect();
        let expected = [
            ("a::B", 1, true, 0),
            ("e::f", 3, false, 0),
            ("h::i", 4, false, 1),
            ("j::k", 5, false, 0),
        ];
        assert_eq!(
            found,
            expected.map(|(path, line, attribute, depth)| (path.to_owned(), line, attribute, depth))
        );
    }
}
