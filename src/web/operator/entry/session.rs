//! Sessions of the console. A session is a signed cookie and nothing else, so every process on the same configuration
//! takes it, also after a restart. It is signed with a key made from the token that was used to log in: when the token
//! is taken out of the configuration, its sessions end.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Role;
use crate::domain::signature::{hmac_sha256, same_secret};

/// So long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// The name of the cookie where it travels protected. The prefix makes browsers refuse one that came from another host.
const PROTECTED: &str = "__Host-bellhop_session";

/// Its name on plain HTTP, which is for this machine.
const PLAIN: &str = "bellhop_session";

/// A new session: `<unix time of its end>.<something>.<signature>`.
pub(crate) fn issue((role, token): (Role, &str), now: i64) -> String {
    let ends = now + i64::try_from(LASTS.as_secs()).unwrap_or(0);
    // Only to keep two sessions apart; what cannot be guessed is the key.
    let claim = format!("{ends}.{:016x}", fastrand::u64(..));
    let signature = signature(token, &format!("session:v1:{}:{claim}", role.as_str()));
    format!("{claim}.{signature}")
}

/// The role of a genuine session that has not ended and was begun with this token, and the key of its forms.
pub(crate) fn read((role, token): (Role, &str), session: &str, now: i64) -> Option<(Role, String)> {
    let (claim, given) = session.rsplit_once('.')?;
    let genuine = signature(token, &format!("session:v1:{}:{claim}", role.as_str()));
    let (ends, _) = claim.split_once('.')?;
    let holds = same_secret(given, &genuine) && ends.parse::<i64>().ok()? > now;
    holds.then(|| (role, signature(token, &format!("form:v1:{session}"))))
}

/// The key of forms where nobody has to log in: what only pages of this service can read.
pub(crate) fn open_form_key(hook_secret: &str) -> String {
    signature(hook_secret, "form:v1:open")
}

fn signature(secret: &str, text: &str) -> String {
    let key = hmac_sha256(secret.as_bytes(), b"bellhop-console:v1");
    URL_SAFE_NO_PAD.encode(hmac_sha256(&key, text.as_bytes()))
}

/// The session a request brings.
pub(crate) fn given(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let cookies: Vec<(&str, &str)> = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .collect();
    let of = |wanted: &str| cookies.iter().find(|(name, _)| *name == wanted);
    of(PROTECTED)
        .or_else(|| of(PLAIN))
        .map(|(_, value)| (*value).to_owned())
}

/// The cookie that begins a session; `protected` when the browser speaks TLS, be it with a proxy in front of us. It comes
/// along when a link of another site leads here, and with nothing else that such a site asks for.
pub(crate) fn cookie(session: &str, protected: bool) -> String {
    let seconds = LASTS.as_secs();
    match protected {
        true => format!("{PROTECTED}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax; Secure"),
        false => format!("{PLAIN}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"),
    }
}

/// The cookies that end it, under either name.
pub(crate) fn farewell() -> [String; 2] {
    [
        format!("{PROTECTED}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"),
        format!("{PLAIN}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: (Role, &str) = (Role::Operator, "a long random text");

    #[test]
    fn a_session_holds_for_its_time_its_token_and_its_role() {
        let session = issue(TOKEN, 1_000);
        let end = 1_000 + 12 * 60 * 60;
        assert!(read(TOKEN, &session, end - 1).is_some_and(|(role, _)| role == Role::Operator));
        assert_eq!(read(TOKEN, &session, end), None);
        assert_eq!(read((Role::Operator, "another random text"), &session, 1_000), None);
        assert_eq!(read((Role::Reader, TOKEN.1), &session, 1_000), None);
        let longer = session.replacen(&end.to_string(), &(end + 1).to_string(), 1);
        for forged in [
            longer.as_str(),
            "",
            ".",
            "..",
            "1.2.3",
            &session[1..],
            &format!("{session}A"),
        ] {
            assert_eq!(read(TOKEN, forged, 1_000), None, "{forged}");
        }
    }

    #[test]
    fn each_session_has_forms_of_its_own() {
        let (one, other) = (issue(TOKEN, 1_000), issue(TOKEN, 1_000));
        let key = |session: &str| read(TOKEN, session, 1_000).expect("genuine").1;
        assert_ne!(key(&one), key(&other));
        assert_eq!(key(&one), key(&one));
        assert_ne!(key(&one), open_form_key(TOKEN.1));
    }

    #[test]
    fn the_protected_cookie_counts_before_the_plain_one() {
        let mut headers = HeaderMap::new();
        let line = "a=b; bellhop_session=plain; __Host-bellhop_session=good.x.y=";
        headers.insert(header::COOKIE, header::HeaderValue::from_static(line));
        assert_eq!(given(&headers).as_deref(), Some("good.x.y="));
        headers.insert(
            header::COOKIE,
            header::HeaderValue::from_static("bellhop_session=plain"),
        );
        assert_eq!(given(&headers).as_deref(), Some("plain"));
        headers.insert(
            header::COOKIE,
            header::HeaderValue::from_static("xbellhop_session=plain"),
        );
        assert_eq!(given(&headers), None);
    }
}
