use secrecy::{ExposeSecret, SecretString};

const HIDDEN: &str = "[hidden]";
/// Signatures, hook keys and tokens are runs of this many letters and digits or longer; words,
/// dates and identifiers that help an operator are shorter.
const OPAQUE_RUN: usize = 32;
/// More of a text than this is never looked at, because far less is shown.
const WINDOW: usize = 64 * 1024;
/// Values of these fields are secret even when they are short (contract M8, 7.2).
const SECRET_FIELDS: [&str; 6] = ["api_key", "secret_key", "login", "partner_token", "user_token", "sign"];

/// Takes out of texts what no operator needs to see.
#[derive(Clone)]
pub(super) struct Redactor {
    /// Our tokens, in the forms in which JSON may print them.
    secrets: Vec<SecretString>,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            if plain.is_empty() {
                continue;
            }
            let escaped = serde_json::Value::from(plain).to_string();
            let escaped = escaped.trim_matches('"').to_owned();
            for form in [plain.to_owned(), escaped.replace('/', "\\/"), escaped] {
                forms.push(SecretString::from(form));
            }
        }
        Self { secrets: forms }
    }

    /// One that hides another secret too.
    pub(super) fn with(&self, secret: &SecretString) -> Self {
        let mut both = Self::new([secret]);
        both.secrets.extend(self.secrets.iter().cloned());
        both
    }

    /// The first `limit` characters of what may be shown of `text`.
    pub(super) fn excerpt(&self, text: &str, limit: usize) -> String {
        let mut shown = text[..text.floor_char_boundary(WINDOW)].to_owned();
        for secret in &self.secrets {
            shown = shown.replace(secret.expose_secret(), HIDDEN);
        }
        for field in SECRET_FIELDS {
            shown = hide_field(&shown, field);
        }
        let shown = hide_opaque_runs(&shown);
        match shown.char_indices().nth(limit) {
            Some((end, _)) => format!("{}…", &shown[..end]),
            None => shown,
        }
    }
}

/// Hides the text value of a JSON field, wherever it stands.
fn hide_field(text: &str, field: &str) -> String {
    let key = format!("\"{field}\"");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&key) {
        let (before, after) = rest.split_at(at + key.len());
        shown.push_str(before);
        rest = after;
        let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else {
            continue;
        };
        let end = value_end(value);
        shown.push(':');
        shown.push_str(HIDDEN);
        rest = &value[end..];
    }
    shown.push_str(rest);
    shown
}

/// Where a JSON text or bare value at the start of `value` ends.
fn value_end(value: &str) -> usize {
    if !value.starts_with('"') {
        return value.find([',', '}', ']']).unwrap_or(value.len());
    }
    let mut escaped = false;
    for (at, byte) in value.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    value.len()
}

fn hide_opaque_runs(text: &str) -> String {
    let in_run = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !in_run(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        shown.push_str(if run.len() >= OPAQUE_RUN { HIDDEN } else { run });
        let gap = after.find(in_run).unwrap_or(after.len());
        shown.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor() -> Redactor {
        Redactor::new(&[SecretString::from("test-token/1"), SecretString::from("")])
    }

    #[test]
    fn tokens_keys_and_signatures_are_hidden_and_words_are_not() {
        let text = concat!(
            r#"{"url":"https://hooks.example.com/apps/7/hooks/1/7uF8bpf3A_qIXxn7SaqTZL-xr88UqWFJ4GKvXH8GqgE","#,
            r#""api_key": "short \" one", "login":5, "echo":"test-token\/1 test-token/1","#,
            r#""title":"goods_operations_consumable"}"#,
        );
        insta::assert_snapshot!(redactor().excerpt(text, 500), @r#"{"url":"https://hooks.example.com/apps/7/hooks/1/[hidden]","api_key":[hidden], "login":[hidden], "echo":"[hidden] [hidden]","title":"goods_operations_consumable"}"#);
    }

    #[test]
    fn excerpts_are_cut_between_characters() {
        assert_eq!(redactor().excerpt("йцу кен", 3), "йцу…");
        assert_eq!(redactor().excerpt("йцу", 3), "йцу");
        assert_eq!(redactor().excerpt(&"й ".repeat(100_000), 2), "й …");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_the_token_never_shows(before in "\\PC*", after in "\\PC*") {
            let shown = redactor().excerpt(&format!("{before}test-token/1{after}\"sign\":\"{after}"), 400);
            prop_assert!(!shown.contains("test-token/1"));
        }
    }
}
