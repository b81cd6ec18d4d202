//! Rust source to words, as far as the house rules need it: no comments, no literals, no lifetimes, and for each word
//! its line.

/// A word of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// An identifier, `::`, or one character of punctuation.
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is_identifier(&self) -> bool {
        self.text
            .starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Cuts the source into words. Source that does not compile gives some result, too.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (block_comment(rest), false),
            '"' => (quoted(rest, 1), false),
            '\'' => (tick(rest), false),
            ':' if rest.starts_with("::") => (2, true),
            _ if first.is_alphabetic() || first == '_' => match prefixed_literal(rest) {
                Some(length) => (length, false),
                None => (identifier(rest), true),
            },
            _ if first.is_ascii_digit() => (number(rest), false),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (text, after) = rest.split_at(length);
        if is_token {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn identifier(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(text.len())
}

/// `1_000u32`, `0xff`; a fraction is a number, a dot and a number.
fn number(text: &str) -> usize {
    identifier(text)
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal that opens just before `start`, with escapes.
fn quoted(text: &str, start: usize) -> usize {
    let quote = text.as_bytes()[start - 1];
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime; both go.
fn tick(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), _) => quoted(text, 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + identifier(&text[1..]),
    }
}

/// `b"…"`, `c"…"`, `b'…'`, `r"…"`, `br#"…"#` and the like; `None` for what is an identifier after all.
fn prefixed_literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix).unwrap_or_default();
        after.trim_start_matches('#').starts_with('"') || (*prefix == "b" && after.starts_with('\''))
    })?;
    if !prefix.ends_with('r') {
        return Some(quoted(text, prefix.len() + 1));
    }
    let hashes = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let body = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()))
}

#[test]
fn comments_literals_and_lifetimes_are_no_words() {
    let words = |source| {
        tokens(source)
            .into_iter()
            .map(|token| token.text)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(words("a // crate::b\nc"), "a c");
    assert_eq!(words("a /* crate::b /* deeper */ still */ c"), "a c");
    assert_eq!(words("/// crate::b\na"), "a");
    assert_eq!(words(r#"a("crate::b \" crate::c", d)"#), "a ( , d )");
    assert_eq!(
        words(r###"a(r#"crate::b "quoted" "#, br"\", b'"', c"x")"###),
        "a ( , , , )"
    );
    assert_eq!(words(r"match c { '\'' => 'x', '/' => b'\\' }"), "match c { = > , = > }");
    assert_eq!(
        words("fn f<'a>(x: &'a str, r: &'static b)"),
        "fn f < > ( x : & str , r : & b )"
    );
    assert_eq!(words("crate::b::c"), "crate :: b :: c");
    assert_eq!(words("1_000u32 + 0xff"), "+");
    assert_eq!(words("\"never closed"), "");
}

#[test]
fn words_know_their_line() {
    let source = "a /* two\nlines */ b\n\"two\nlines\"\nc";
    let lines: Vec<_> = tokens(source)
        .into_iter()
        .map(|token| (token.text, token.line))
        .collect();
    assert_eq!(lines, [("a", 1), ("b", 2), ("c", 5)]);
}
