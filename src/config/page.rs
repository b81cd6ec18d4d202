use std::{
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Config, place::Notes};

/// A larger picture would come along with every look at a connection.
const LARGEST_LOGO: usize = 48 * 1024;

/// How the page that owners see looks, and whom they may ask.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// The name on it, instead of the application's.
    pub name: Option<String>,
    /// A picture beside the name: an https address, or a file (PNG, JPEG, GIF, WebP, SVG) of at most 48 KiB.
    #[schemars(with = "Option<String>")]
    pub logo: Option<Logo>,
    /// The colour of the button, as `"#rrggbb"`. It is made darker or lighter until it can be read.
    pub accent: Option<Accent>,
    /// Where owners find help: a mail address, or an https address.
    #[schemars(with = "Option<String>")]
    pub support: Option<Contact>,
}

/// Where the picture beside the name comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Logo {
    /// From a web server.
    Address(Url),
    /// From a file that is not read yet.
    File(PathBuf),
    /// From the page itself.
    Inline {
        /// The file it was.
        file: PathBuf,
        /// It, as a `data:` address.
        data: String,
    },
}

impl TryFrom<String> for Logo {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        web_address(&text)
            .map(Self::Address)
            .ok_or_else(|| format!("`{text}` is no https address: write one, or the path of a file"))
    }
}

impl From<Logo> for String {
    fn from(logo: Logo) -> Self {
        match logo {
            Logo::Address(url) => url.into(),
            Logo::File(file) | Logo::Inline { file, .. } => file.display().to_string(),
        }
    }
}

/// A colour: its red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Accent(pub [u8; 3]);

impl TryFrom<String> for Accent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let mut parts = [0; 3];
        digits
            .filter(|digits| hex::decode_to_slice(digits, &mut parts).is_ok())
            .map(|_| Self(parts))
            .ok_or_else(|| format!("`{text}` is no colour: write it as \"#rrggbb\", such as \"#2563c9\""))
    }
}

impl From<Accent> for String {
    fn from(Accent(parts): Accent) -> Self {
        format!("#{}", hex::encode(parts))
    }
}

impl JsonSchema for Accent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "colour".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"})
    }
}

/// Where owners find help.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Contact {
    /// A mail address.
    Mail(String),
    /// A page.
    Web(Url),
}

impl TryFrom<String> for Contact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mail = || is_mail_address(&text).then(|| Self::Mail(text.clone()));
        web_address(&text).map(Self::Web).or_else(mail).ok_or_else(|| {
            format!("`{text}` is neither a mail address nor an https address, such as \"help@example.com\"")
        })
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> Self {
        match contact {
            Contact::Mail(address) => address,
            Contact::Web(url) => url.into(),
        }
    }
}

fn web_address(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" && url.host().is_some())
}

/// Plain ones only: what stands here becomes a link.
fn is_mail_address(text: &str) -> bool {
    let plain = |part: &str, more: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !part.is_empty() && part.chars().all(fits)
    };
    text.split_once('@')
        .is_some_and(|(user, host)| plain(user, "._+-") && plain(host, ".-"))
}

/// Reads the pictures that are files.
pub(super) fn fill_in(config: &mut Config, notes: &mut Notes<'_>) {
    let folder = config.folder.clone();
    for (at, application) in config.applications.iter_mut().enumerate() {
        let page = &mut application.page;
        if page.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            let what = "page.name is empty. Remedy: a name, or take it out for the application's";
            notes.at(&format!("application.{at}.page.name"), what);
        }
        let Some(Logo::File(file)) = &page.logo else { continue };
        match inline(&folder.join(file)) {
            Ok(data) => {
                let file = file.clone();
                page.logo = Some(Logo::Inline { file, data });
            }
            Err(what) => notes.at(
                &format!("application.{at}.page.logo"),
                format!("page.logo: {} {what}", folder.join(file).display()),
            ),
        }
    }
}

/// A picture as a `data:` address, else what is wrong with its file.
fn inline(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path);
    let mut bytes = Vec::new();
    file.and_then(|file| file.take(LARGEST_LOGO as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}. Remedy: correct the path, or let this user read it"))?;
    if bytes.len() > LARGEST_LOGO {
        return Err("is larger than 48 KiB. Remedy: a smaller picture, or the https address of this one".into());
    }
    let kind = kind_of(&bytes)
        .ok_or("is no picture that browsers show. Remedy: a PNG, JPEG, GIF, WebP or SVG file, or an https address")?;
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ if (text.starts_with("<svg") || text.starts_with("<?xml")) && text.contains("<svg") => Some("svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a page that is configured like this.
    fn told(page: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in [
            ("text.png", &b"no picture"[..]),
            ("large.png", &[0x89; LARGEST_LOGO + 1]),
        ] {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        }
        let text = format!("[[application]]\nid = 1\naccount = \"main\"\nname = \"x\"\n[application.page]\n{page}");
        let problems = Config::from_text(&text, folder.path()).expect_err("there is no account");
        problems.to_string()
    }

    #[test]
    fn what_a_page_cannot_show_is_told_with_a_remedy() {
        for (page, said) in [
            ("accent = \"red\"", "`red` is no colour: write it as \"#rrggbb\""),
            ("accent = \"#12345g\"", "is no colour"),
            (
                "logo = \"http://example.com/a.png\"",
                "is no https address: write one, or the path of a file",
            ),
            ("logo = \"missing.png\"", "missing.png cannot be read"),
            ("logo = \"text.png\"", "is no picture that browsers show. Remedy: a PNG"),
            (
                "logo = \"large.png\"",
                "is larger than 48 KiB. Remedy: a smaller picture",
            ),
            (
                "support = \"javascript:alert(1)\"",
                "is neither a mail address nor an https address",
            ),
            (
                "support = \"a@example.com?bcc=b@example.com\"",
                "is neither a mail address",
            ),
            ("name = \" \"", "page.name is empty"),
            ("colour = \"#123456\"", "unknown field `colour`"),
        ] {
            let told = told(page);
            assert!(told.contains(said), "{page}: {told}");
        }
        for page in [
            "accent = \"#0d9488\"",
            "support = \"help+salon@example.com\"",
            "logo = \"https://a.example/b.svg\"",
        ] {
            assert!(!told(page).contains("page"), "{page}");
        }
    }
}
