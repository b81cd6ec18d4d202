use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ids::{ApplicationId, LocationId, Place};

/// HMAC-SHA256, as bytes.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// SHA-256 of a text.
pub fn sha256_of(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// SHA-256 over several parts, each with its length.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length in front keeps `ab` + `c` apart from `a` + `bc`.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether `signature` is the hex HMAC-SHA256 of `text`; the case of the hex digits does not
/// matter, and the comparison takes the same time wherever the first difference is.
pub fn is_hex_hmac(key: &[u8], text: &[u8], signature: &str) -> bool {
    let mut given = [0_u8; 32];
    hex::decode_to_slice(signature.trim(), &mut given).is_ok() && hmac_sha256(key, text).ct_eq(&given).into()
}

/// Whether two secrets are equal, in a time that does not tell how far they agree. Hashing first
/// hides the lengths too.
pub fn same_secret(left: &str, right: &str) -> bool {
    sha256(&[left.as_bytes()]).ct_eq(&sha256(&[right.as_bytes()])).into()
}

/// The unguessable part of the webhook address of one location:
/// `base64url(HMAC-SHA256(hook_secret, "bellhop-hook:v1:<application>:<location>"))` without
/// padding. It is stable for ever, because the marketplace keeps the address for ever.
pub fn hook_key(hook_secret: &str, place: Place) -> String {
    key_over(
        hook_secret,
        &format!("bellhop-hook:v1:{}:{}", place.application_id, place.location_id),
    )
}

/// The unguessable part of the one notification address of a non-public application: the same with
/// `*` for the location.
pub fn application_hook_key(hook_secret: &str, application_id: ApplicationId) -> String {
    key_over(hook_secret, &format!("bellhop-hook:v1:{application_id}:*"))
}

/// The unguessable part of the address where a telephony system tells of calls:
/// `base64url(HMAC-SHA256(hook_secret, "bellhop-calls:v1:<application>:<name>"))` without padding. Stable for ever too.
pub fn calls_key(hook_secret: &str, application_id: ApplicationId, name: &str) -> String {
    key_over(hook_secret, &format!("bellhop-calls:v1:{application_id}:{name}"))
}

fn key_over(hook_secret: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac_sha256(hook_secret.as_bytes(), text.as_bytes()))
}

/// A token that lets a browser follow the connection of some locations for a while, so that the
/// signed redirect need not stay in the address bar (contract 7.1). Form:
/// `<locations joined by dots>~<unix time of expiry>~<base64url HMAC>`.
pub fn progress_token(
    hook_secret: &str,
    application_id: ApplicationId,
    locations: &[LocationId],
    expires_at: i64,
) -> String {
    let list: Vec<String> = locations.iter().map(ToString::to_string).collect();
    let claim = format!("{}~{expires_at}", list.join("."));
    let mac = key_over(hook_secret, &format!("bellhop-progress:v1:{application_id}:{claim}"));
    format!("{claim}~{mac}")
}

/// Reads a [`progress_token`]: the locations, when it is genuine and not expired.
pub fn read_progress_token(
    hook_secret: &str,
    application_id: ApplicationId,
    token: &str,
    now: i64,
) -> Option<Vec<LocationId>> {
    let (claim, mac) = token.rsplit_once('~')?;
    if !same_secret(
        mac,
        &key_over(hook_secret, &format!("bellhop-progress:v1:{application_id}:{claim}")),
    ) {
        return None;
    }
    let (list, expires_at) = claim.split_once('~')?;
    if expires_at.parse::<i64>().ok()? < now {
        return None;
    }
    list.split('.').map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"test-partner-token-0001";

    #[test]
    fn the_signatures_of_the_contract_verify() {
        let text = b"salon_id=100001&amount=990.99&discount=15.5";
        let sign = "5c433578dde3f1b3f0058482ccf5973cf3f9abb9ebed734106050c6be3f6a32e";
        assert!(is_hex_hmac(TOKEN, text, sign));
        assert!(is_hex_hmac(TOKEN, text, &sign.to_uppercase()));
        assert!(!is_hex_hmac(
            TOKEN,
            b"salon_id=100001&amount=990.99&discount=15.50",
            sign
        ));
        for junk in ["", "5c43", "zz", "\u{0}"] {
            assert!(!is_hex_hmac(TOKEN, text, junk));
        }
    }

    #[test]
    fn the_key_of_an_address_never_changes() {
        let place = Place {
            application_id: ApplicationId(18289),
            location_id: LocationId(100_001),
        };
        assert_eq!(hook_key("a secret for tests", place).len(), 43);
        assert_ne!(hook_key("a secret for tests", place), hook_key("another", place));
        assert_ne!(
            hook_key("a secret for tests", place),
            application_hook_key("a secret for tests", ApplicationId(18289))
        );
        insta::assert_snapshot!(calls_key("a secret for tests", ApplicationId(18289), "reception"), @"IzAPWsUM9UTrhpEvQuDnczJFviMH9BbERE_F6PSax4w");
        insta::assert_snapshot!(hook_key("a secret for tests", place), @"7uF8bpf3A_qIXxn7SaqTZL-xr88UqWFJ4GKvXH8GqgE");
    }

    #[test]
    fn a_progress_token_holds_for_its_application_and_its_time() {
        let locations = [LocationId(1), LocationId(22)];
        let token = progress_token("s", ApplicationId(7), &locations, 1000);
        assert_eq!(
            read_progress_token("s", ApplicationId(7), &token, 1000),
            Some(locations.to_vec())
        );
        assert_eq!(read_progress_token("s", ApplicationId(7), &token, 1001), None);
        assert_eq!(read_progress_token("s", ApplicationId(8), &token, 1000), None);
        assert_eq!(
            read_progress_token("s", ApplicationId(7), &token.replacen('1', "2", 1), 1000),
            None
        );
        assert_eq!(read_progress_token("s", ApplicationId(7), "~", 1000), None);
    }
}
