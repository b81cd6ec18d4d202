//! The registration redirect, read from the query of the owner's browser (contract 7.1).

use base64::{Engine, alphabet, engine};
use url::form_urlencoded;

use crate::domain::{ids::LocationId, signature::is_hex_hmac};

/// Locations in one redirect; more than any chain has.
const MOST: usize = 200;

/// Bytes of the query that are kept, and kept once for each location. A chain of 200 with a person's data has 8 KB.
const KEPT: usize = 16 * 1024;

/// Reads both alphabets after mapping, with any padding and any last bits.
const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What the redirect says about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserData {
    /// The application does not ask for it, or the connection is older than the setting.
    Absent,
    /// Its signature is ours.
    Signed,
    /// Its signature is wrong or missing.
    Forged,
}

/// What the browser brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    /// Each location once, in the order given.
    pub locations: Vec<LocationId>,
    /// What is said about the person.
    pub user_data: UserData,
    /// The query without the signature, for keeping; without the fields, too, that are too long for it.
    pub kept: String,
}

/// Reads a query. It proves nothing about the locations: they stand outside the signature.
pub(super) fn read(query: &str, signature_keys: &[&str]) -> Redirect {
    let mut locations: Vec<LocationId> = Vec::new();
    let (mut data, mut sign) = (None, None);
    let mut kept = String::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "salon_id" | "salon_ids" => {
                locations.extend(value.split(',').filter_map(|id| id.trim().parse::<LocationId>().ok()))
            }
            name if name.starts_with("salon_ids[") && name.ends_with(']') => {
                locations.extend(value.trim().parse::<LocationId>())
            }
            "user_data" => data = Some(value.clone().into_owned()),
            "user_data_sign" => sign = Some(value.clone().into_owned()),
            _ => {}
        }
        // No credential belongs here, but one that is there is not kept.
        if name != "user_data_sign" && name != "partner_token" {
            let pair = form_urlencoded::Serializer::new(String::new())
                .append_pair(&name, &value)
                .finish();
            if kept.len() + pair.len() < KEPT {
                kept.push_str(if kept.is_empty() { "" } else { "&" });
                kept.push_str(&pair);
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    locations.retain(|id: &LocationId| id.0 > 0 && seen.insert(*id));
    locations.truncate(MOST);
    let user_data = match (data.filter(|data| !data.is_empty()), sign) {
        (None, _) => UserData::Absent,
        (Some(data), Some(sign)) if signature_keys.iter().any(|key| is_signed(&data, &sign, key)) => UserData::Signed,
        (Some(_), _) => UserData::Forged,
    };
    Redirect {
        locations,
        user_data,
        kept,
    }
}

/// The signature covers the decoded bytes, not the base64 text. A plus that a browser sent bare has
/// become a space by now.
fn is_signed(data: &str, sign: &str, key: &str) -> bool {
    let standard: String = data
        .chars()
        .map(|c| match c {
            ' ' => '+',
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    LENIENT
        .decode(standard.trim_end_matches('='))
        .is_ok_and(|bytes| is_hex_hmac(key.as_bytes(), &bytes, sign))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "test-partner-token-0001";

    fn ids(query: &str) -> Vec<i64> {
        read(query, &[TOKEN]).locations.into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn every_shape_of_the_locations_is_read() {
        assert_eq!(ids("salon_id=100001&from=card"), [100_001]);
        assert_eq!(ids("salon_ids[]=1&salon_ids[]=2&salon_ids[]=1"), [1, 2]);
        assert_eq!(ids("salon_ids%5B0%5D=5&salon_ids%5B1%5D=6"), [5, 6]);
        assert_eq!(ids("salon_ids=1,2,%203"), [1, 2, 3]);
        assert_eq!(ids("salon_id=x&salon_ids[]=-4&other=1"), [] as [i64; 0]);
    }

    #[test]
    fn a_signature_over_the_base64_text_is_forged() {
        let data = "eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiJUZXN0IFVzZXIiLCJlbWFpbCI6InVzZXJAZXhhbXBsZS5jb20iLCJwaG9uZSI6IjEwMDAwMDAwMDAzIn0";
        let right = "57cb0f29da04928bf239012a25c4fde1f5f85a15e2e8481824d4b1b9a30ffe6c";
        let over_text = "15e7f098eed34f910d072817909ccfb1feb966eb2a1c2522413f6c60986cdc68";
        let verdict = |padding: &str, sign: &str| {
            read(
                &format!("salon_id=1&user_data={data}{padding}&user_data_sign={sign}"),
                &[TOKEN],
            )
            .user_data
        };
        for padding in ["", "=", "%3D"] {
            assert_eq!(verdict(padding, right), UserData::Signed);
        }
        assert_eq!(verdict("=", over_text), UserData::Forged);
        assert_eq!(verdict("=", ""), UserData::Forged);
        assert_eq!(
            read("salon_id=1&user_data=&user_data_sign=", &[TOKEN]).user_data,
            UserData::Absent
        );
    }

    #[test]
    fn what_is_kept_has_no_signature() {
        let kept = read("salon_id=1&user_data=e30%3D&user_data_sign=57cb&app=9", &[TOKEN]).kept;
        assert_eq!(kept, "salon_id=1&user_data=e30%3D&app=9");
    }

    #[test]
    fn a_field_that_is_too_long_is_not_kept_and_the_others_are() {
        let kept = read(&format!("salon_id=1&x={}&app=9", "x".repeat(60_000)), &[TOKEN]).kept;
        assert_eq!(kept, "salon_id=1&app=9");
        let chain: Vec<String> = (100_000..100_200).map(|id| format!("salon_ids[]={id}")).collect();
        let kept = read(
            &format!("{}&user_data={}", chain.join("&"), "e".repeat(3_000)),
            &[TOKEN],
        )
        .kept;
        assert!(
            kept.ends_with("eeee") && kept.matches("salon_ids").count() == 200,
            "{}",
            kept.len()
        );
    }

    proptest! {
        #[test]
        fn no_query_makes_it_fail(query in ".{0,200}") {
            read(&query, &[TOKEN]);
        }
    }

    /// Redirects that somebody changed on the way; `make fuzz` runs the same for minutes.
    mod fuzz {
        use std::time::{Duration, Instant};

        use super::*;

        const PIECES: [&str; 14] = [
            "partner_token=",
            "user_data_sign=",
            "user_data=",
            "salon_ids[]=",
            "salon_id=-1",
            "&",
            "&&",
            "=",
            "%",
            "%00",
            "%26partner_token%3D",
            "1,2,3",
            "\u{feff}",
            TOKEN,
        ];

        proptest! {
            #[test]
            fn a_changed_redirect_is_read_without_its_signature(
                pieces in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), 1..300_usize), 0..8),
            ) {
                let mut query = "salon_id=100001&salon_ids[]=2&user_data=eyJpZCI6MX0%3D&user_data_sign=57cb0f29&partner_token=x".to_owned();
                for (at, piece, times) in pieces {
                    let mut at = at.index(query.len() + 1);
                    while !query.is_char_boundary(at) {
                        at -= 1;
                    }
                    query.insert_str(at, &piece.repeat(times));
                }
                let began = Instant::now();
                let read = read(&query, &[TOKEN]);
                prop_assert!(began.elapsed() < Duration::from_secs(5));
                prop_assert!(read.locations.len() <= 200 && read.locations.iter().all(|id| id.0 > 0));
                prop_assert!(!read.kept.starts_with("user_data_sign=") && !read.kept.contains("&user_data_sign="));
                prop_assert!(!read.kept.starts_with("partner_token=") && !read.kept.contains("&partner_token="));
            }
        }
    }
}
