//! Takes credentials out of bytes before they are kept. It works on text, not on parsed JSON, so that
//! broken bodies, forms and values deep inside are covered too.

use std::borrow::Cow;

use memchr::memmem;

/// The field that carries the credential (contract 7.2).
const NAME: &[u8] = b"partner_token";

/// The bytes without the value of any `partner_token`, and without our own tokens wherever they
/// stand. A wrong value goes too: it may be the right one of somebody else. Nearly all deliveries hold
/// neither, so they are only searched and not copied.
pub fn redacted<'a>(bytes: &'a [u8], tokens: &[&str]) -> Cow<'a, [u8]> {
    let mut kept = without_values(bytes);
    for token in tokens.iter().filter(|token| !token.is_empty()) {
        kept = without(kept, token.as_bytes());
        if token.contains('/') {
            // As PHP prints it.
            kept = without(kept, token.replace('/', "\\/").as_bytes());
        }
    }
    kept
}

/// Masks what follows the name and a colon or an equals sign.
fn without_values(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut kept = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memmem::find(rest, NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        kept.extend_from_slice(before);
        let value = value_of(after);
        rest = after;
        if let Some((start, end)) = value.filter(|(start, end)| after[*start..*end] != *b"null") {
            kept.extend_from_slice(&after[..start]);
            kept.extend_from_slice(if after[start] == b'"' { b"\"***\"" } else { b"***" });
            rest = &after[end..];
        }
    }
    if kept.is_empty() {
        return Cow::Borrowed(bytes);
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

/// Where the value begins and ends, in what follows the name.
fn value_of(after: &[u8]) -> Option<(usize, usize)> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\');
    let mark = after.iter().position(|byte| !blank(byte))?;
    if !matches!(after[mark], b':' | b'=') {
        return None;
    }
    let start = mark + 1 + after[mark + 1..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    let value = &after[start..];
    let length = match value[0] {
        b'"' => quoted(value),
        _ => value.iter().position(|byte| b",}]&; \t\r\n".contains(byte)),
    };
    Some((start, start + length.unwrap_or(value.len())))
}

/// The length of a JSON text with its quotes; `None` when it breaks off.
fn quoted(value: &[u8]) -> Option<usize> {
    let mut escaped = false;
    value
        .iter()
        .skip(1)
        .position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })
        .map(|at| at + 2)
}

fn without<'a>(bytes: Cow<'a, [u8]>, token: &[u8]) -> Cow<'a, [u8]> {
    let Some(first) = memmem::find(&bytes, token) else {
        return bytes;
    };
    let mut kept = bytes[..first].to_vec();
    let mut rest = &bytes[first..];
    while let Some(at) = memmem::find(rest, token) {
        kept.extend_from_slice(&rest[..at]);
        kept.extend_from_slice(b"***");
        rest = &rest[at + token.len()..];
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> String {
        String::from_utf8(redacted(body.as_bytes(), &["our/token"]).into_owned()).expect("text")
    }

    #[test]
    fn a_value_goes_wherever_the_name_stands() {
        for (body, kept) in [
            (
                r#"{"partner_token": "a\"b,c", "x":1}"#,
                r#"{"partner_token": "***", "x":1}"#,
            ),
            (r#"{"d":{"partner_token":17}}"#, r#"{"d":{"partner_token":***}}"#),
            (r#"{"partner_token":"cut o"#, r#"{"partner_token":"***""#),
            (r#"{"partner_token":null}"#, r#"{"partner_token":null}"#),
            ("partner_token=abc&x=1", "partner_token=***&x=1"),
            (r#""{\"partner_token\":\"abc\"}""#, r#""{\"partner_token\":***}""#),
            ("partner_token", "partner_token"),
            ("partner_token: ", "partner_token: "),
            ("our/token our\\/token!", "*** ***!"),
        ] {
            assert_eq!(text(body), kept, "{body}");
        }
    }
}
