//! Just enough of MIME to show a mail: header folding, RFC 2047 words, quoted-printable,
//! base64, and the plain text of a multipart. Text is taken as UTF-8.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding is often missing or too much in the wild.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How deep multiparts are followed.
const DEEPEST: u32 = 8;

/// What of a mail is shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Readable {
    pub(super) subject: String,
    pub(super) text: String,
}

/// Reads a mail. Whatever cannot be decoded is shown as it is.
pub(super) fn read(raw: &[u8]) -> Readable {
    let raw = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    let (headers, body) = split(&raw);
    Readable {
        subject: words(&header(&headers, "subject").unwrap_or_default()),
        text: text_of(&headers, body, DEEPEST).unwrap_or_default(),
    }
}

type Headers = Vec<(String, String)>;

fn split(raw: &str) -> (Headers, &str) {
    let (head, body) = match raw.strip_prefix('\n') {
        Some(body) => ("", body),
        None => raw.split_once("\n\n").unwrap_or((raw, "")),
    };
    let mut headers: Headers = Vec::new();
    for line in head.lines() {
        let folded = line.starts_with([' ', '\t']);
        match (folded, headers.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((name, value))) => {
                headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    (headers, body)
}

fn header(headers: &Headers, name: &str) -> Option<String> {
    let found = headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone())
}

/// The plain text of a part; of several the first that has one.
fn text_of(headers: &Headers, body: &str, depth: u32) -> Option<String> {
    let kind = header(headers, "content-type").unwrap_or_else(|| "text/plain".to_owned());
    let lower = kind.to_lowercase();
    if lower.starts_with("multipart/") && depth > 0 {
        let boundary = format!("--{}", parameter(&kind, "boundary")?);
        let parts: Vec<(Headers, &str)> = body
            .split(&boundary)
            .skip(1)
            .take_while(|part| !part.starts_with("--"))
            .map(|part| split(part.strip_prefix('\n').unwrap_or(part)))
            .collect();
        return parts
            .iter()
            .find_map(|(headers, body)| text_of(headers, body.strip_suffix('\n').unwrap_or(body), depth - 1));
    }
    // A mail that is one text of another kind is shown; in a multipart the plain one is.
    let whole = lower.starts_with("text/") && depth == DEEPEST;
    if !(whole || lower.starts_with("text/plain")) {
        return None;
    }
    let encoding = header(headers, "content-transfer-encoding").unwrap_or_default();
    let text = match encoding.to_lowercase().as_str() {
        "quoted-printable" => quoted_printable(&body.replace("=\n", "")),
        "base64" => base64_text(body).unwrap_or_else(|| body.to_owned()),
        _ => body.to_owned(),
    };
    Some(text.replace("\r\n", "\n"))
}

fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let wanted = key.trim().eq_ignore_ascii_case(name);
        wanted.then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn base64_text(text: &str) -> Option<String> {
    let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = BASE64.decode(dense).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octet = match (first, tail) {
            (b'=', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low)
            }
            _ => None,
        };
        match octet.and_then(|octet| u8::try_from(octet).ok()) {
            Some(octet) => {
                bytes.push(octet);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes the encoded words of a header (RFC 2047). White space between two of them is not
/// part of the text.
fn words(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let Some((decoded, end)) = word(&rest[start..]) else {
            text.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            after_word = false;
            continue;
        };
        let between = &rest[..start];
        if !(after_word && between.trim().is_empty()) {
            text.push_str(between);
        }
        text.push_str(&decoded);
        rest = &rest[start + end..];
        after_word = true;
    }
    text.push_str(rest);
    text
}

/// Decodes `=?charset?B|Q?text?=` at the start of a text, and tells its length.
fn word(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix("=?")?;
    let (charset, inner) = inner.split_once('?')?;
    let (encoding, inner) = inner.split_once('?')?;
    let (payload, _) = inner.split_once("?=")?;
    let decoded = match encoding {
        "B" | "b" => base64_text(payload)?,
        "Q" | "q" => quoted_printable(&payload.replace('_', " ")),
        _ => return None,
    };
    let length = charset.len() + encoding.len() + payload.len() + "=?".len() * 2 + 2;
    Some((decoded, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_subjects_and_texts_are_decoded() {
        let raw = "Subject: =?utf-8?B?0J/RgNC40LLQtdGC?=\r\n =?utf-8?Q?,_m=C3=BCde?= ok\r\n\
                   Content-Transfer-Encoding: quoted-printable\r\n\r\nStay =\r\nwith=20us=21 100%\r\n";
        let mail = read(raw.as_bytes());
        assert_eq!(mail.subject, "Привет, müde ok");
        assert_eq!(mail.text, "Stay with us! 100%\n");
    }

    #[test]
    fn the_plain_part_of_a_multipart_is_shown() {
        let raw = "Content-Type: multipart/alternative; boundary=\"b1\"\n\n--b1\n\
                   Content-Type: text/html\n\n<p>no</p>\n--b1\nContent-Type: text/plain\n\
                   Content-Transfer-Encoding: base64\n\neWVz\n--b1--\n";
        assert_eq!(read(raw.as_bytes()).text, "yes");
        assert_eq!(read(b"").text, "");
        assert_eq!(read(b"Subject: =?x\n\n=zz=").text, "=zz=");
    }
}
