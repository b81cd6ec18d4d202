//! The careful way to put an address back that is missing in the settings of a location (contract W2).
//!
//! The call replaces the settings of the whole location, of all applications, and writes one set of
//! resources to every address. So everything that is there is kept, what each address gets is not taken
//! away, and a merge says which addresses of others would get something else than before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{HookAddress, HookSettings, RESOURCE_FLAGS};
use crate::marketplace::calls::MAX_HOOKS;

/// What to write so that our address is served and nobody loses anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// All addresses: those that were there, in their order, and ours.
    pub urls: Vec<String>,
    /// Addresses of ours that go.
    pub removed: Vec<String>,
    /// What every address will get, by resource in our words.
    pub resources: BTreeMap<String, bool>,
    /// Whether events that their receivers caused themselves are sent too; `None` where the server does
    /// not know that setting.
    pub self_sending: Option<bool>,
    /// Addresses of others that would get something else than before, each with what changes. Write only
    /// when there are none, or when somebody has decided that it may be.
    pub disturbed: Vec<Disturbance>,
}

/// What a merge would change for somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disturbance {
    /// Whose address.
    pub url: String,
    /// What changes, in a few words.
    pub how: String,
}

/// Why nothing can be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The location has no room.
    #[error("the location has {0} webhook addresses already, and {MAX_HOOKS} is all it can have")]
    Full(usize),
}

/// What to write so that `ours` is served like after an activation. `former` are addresses of ours that it replaces.
///
/// # Errors
/// When the location has no room for one more address.
pub fn merge(settings: &HookSettings, ours: &str, former: &[String]) -> Result<Merge, MergeError> {
    let (removed, kept): (Vec<&HookAddress>, Vec<&HookAddress>) = settings
        .addresses
        .iter()
        .partition(|address| former.contains(&address.url));
    let mut urls: Vec<String> = kept.iter().map(|address| address.url.clone()).collect();
    if !urls.iter().any(|url| url == ours) {
        urls.push(ours.to_owned());
    }
    if urls.len() > MAX_HOOKS {
        return Err(MergeError::Full(settings.addresses.len()));
    }
    let others = kept.iter().filter(|address| address.url != ours);
    // Nobody loses what it gets, and we get what an activation gives (contract 6.2: all but loyalty cards).
    let mut resources: BTreeMap<String, bool> = RESOURCE_FLAGS
        .iter()
        .map(|(_, resource)| ((*resource).to_owned(), *resource != "loyalty_card"))
        .collect();
    for address in &settings.addresses {
        for (resource, sent) in &address.resources {
            *resources.entry(resource.clone()).or_default() |= sent;
        }
    }
    let told: Vec<bool> = settings
        .addresses
        .iter()
        .filter_map(|address| address.self_sending)
        .collect();
    let self_sending = if settings.addresses.is_empty() {
        Some(true)
    } else {
        told.iter().copied().reduce(|any, one| any || one)
    };
    let disturbed = others
        .filter_map(|address| {
            let how = changes(address, settings, &resources, self_sending);
            (!how.is_empty()).then(|| Disturbance {
                url: address.url.clone(),
                how,
            })
        })
        .collect();
    Ok(Merge {
        urls,
        removed: removed.into_iter().map(|address| address.url.clone()).collect(),
        resources,
        self_sending,
        disturbed,
    })
}

fn changes(
    address: &HookAddress,
    settings: &HookSettings,
    resources: &BTreeMap<String, bool>,
    self_sending: Option<bool>,
) -> String {
    if !settings.told_apart && settings.addresses.len() > 1 {
        // The settings on top are those of the first address only.
        return "the server does not tell what it gets now".to_owned();
    }
    let mut how = Vec::new();
    if !address.active {
        how.push("it would be switched on".to_owned());
    }
    let also: Vec<&str> = address
        .resources
        .iter()
        .filter(|(resource, sent)| resources.get(*resource).is_some_and(|will| will != *sent))
        .map(|(resource, _)| resource.as_str())
        .collect();
    if !also.is_empty() {
        how.push(format!("it would also get {}", also.join(", ")));
    }
    if address.self_sending.is_some() && address.self_sending != self_sending {
        how.push("it would also get events that it caused itself".to_owned());
    }
    how.join("; ")
}

/// An address as people may see it: the path may hold a key.
pub fn outline(url: &str) -> String {
    let host = url::Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
    format!("{}/…", host.unwrap_or_else(|| "an address that is none".to_owned()))
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", outline(&self.url), self.how)
    }
}

impl Merge {
    /// Compares what the marketplace has after the writing with what should be there.
    ///
    /// # Errors
    /// With everything that is not as written, or that somebody lost.
    pub fn verify(&self, after: &HookSettings) -> Result<(), String> {
        let there: BTreeSet<&str> = after.addresses.iter().map(|address| address.url.as_str()).collect();
        let mut wrong: Vec<String> = self
            .urls
            .iter()
            .filter(|url| !there.contains(url.as_str()))
            .map(|url| format!("{} is missing", outline(url)))
            .collect();
        let left = self.removed.iter().filter(|url| there.contains(url.as_str()));
        wrong.extend(left.map(|url| format!("{} is still there", outline(url))));
        for address in &after.addresses {
            if !address.active {
                wrong.push(format!("{} is switched off", outline(&address.url)));
            }
            let lost = address
                .resources
                .iter()
                .filter(|(resource, sent)| self.resources.get(*resource).is_some_and(|will| will != *sent))
                .map(|(resource, _)| resource.as_str());
            let lost: Vec<&str> = lost.collect();
            if !lost.is_empty() {
                let (address, lost) = (outline(&address.url), lost.join(", "));
                wrong.push(format!("{address} has another setting for {lost}"));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OURS: &str = "https://hooks.example.com/apps/7/hooks/1/key";
    const OTHER: &str = "https://other.example.com/hook";

    /// The settings of these addresses; each has all an activation gives, but for these changes.
    fn settings(addresses: &[(&str, &[(&str, i64)])]) -> HookSettings {
        let one = |(url, changes): &(&str, &[(&str, i64)])| {
            let mut flags = json!({ "url": url, "active": 1, "self_sending": 1 });
            for (wire, _) in RESOURCE_FLAGS {
                flags[wire] = json!(i64::from(wire != "loyalty_card"));
            }
            for (key, value) in *changes {
                flags[*key] = json!(value);
            }
            flags
        };
        let each: Vec<serde_json::Value> = addresses.iter().map(one).collect();
        let urls: Vec<&str> = addresses.iter().map(|(url, _)| *url).collect();
        let active = each.first().map_or(json!(0), |first| first["active"].clone());
        super::super::decode(Some(json!({ "urls": urls, "active": active, "url_settings": each }))).expect("settings")
    }

    #[test]
    fn everybody_elses_address_stays_and_gets_what_it_got() {
        let merge = merge(&settings(&[(OTHER, &[])]), OURS, &[]).expect("room");
        assert_eq!(merge.urls, [OTHER, OURS]);
        assert_eq!(merge.disturbed, []);
        assert!(merge.resources["record"] && !merge.resources["loyalty_card"]);
        assert_eq!(merge.self_sending, Some(true));
    }

    #[test]
    fn nobody_loses_a_resource_and_who_would_get_more_is_named() {
        let picky: (&str, &[(&str, i64)]) = (OTHER, &[("client", 0), ("loyalty_card", 1), ("self_sending", 0)]);
        let third: (&str, &[(&str, i64)]) = ("https://third.example.com/", &[("loyalty_card", 1), ("active", 0)]);
        let merge = merge(&settings(&[picky, third]), OURS, &[]).expect("room");
        assert!(merge.resources["client"] && merge.resources["loyalty_card"]);
        let told: Vec<String> = merge.disturbed.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "https://other.example.com/…: it would also get client; it would also get events that it caused itself",
                "https://third.example.com/…: it would be switched on",
            ]
        );
    }

    #[test]
    fn an_older_server_that_tells_no_addresses_apart_is_not_guessed_at() {
        let data = json!({ "urls": [OTHER, "https://third.example.com/"], "active": 1, "record": 1 });
        let old = super::super::decode(Some(data)).expect("settings");
        let merge = merge(&old, OURS, &[]).expect("room");
        assert_eq!(merge.disturbed.len(), 2);
        assert_eq!(merge.self_sending, None);
    }

    #[test]
    fn ten_addresses_are_all_there_is_room_for() {
        let urls: Vec<String> = (0..10).map(|number| format!("https://{number}.example.com/")).collect();
        let ten: Vec<(&str, &[(&str, i64)])> = urls.iter().map(|url| (url.as_str(), &[][..])).collect();
        assert_eq!(merge(&settings(&ten), OURS, &[]), Err(MergeError::Full(10)));
        assert!(merge(&settings(&ten[1..]), OURS, &[]).is_ok());
    }

    #[test]
    fn an_address_of_the_secret_before_makes_room_for_the_one_of_now() {
        let former = format!("{OURS}-of-the-secret-before");
        let before = settings(&[(former.as_str(), &[("client", 0)]), (OTHER, &[])]);
        let merge = merge(&before, OURS, std::slice::from_ref(&former)).expect("room");
        assert_eq!(
            (merge.urls.as_slice(), merge.removed.as_slice()),
            (&[OTHER.to_owned(), OURS.to_owned()][..], &[former.clone()][..])
        );
        assert_eq!(merge.disturbed, []);
        let left = settings(&[(OTHER, &[]), (OURS, &[]), (former.as_str(), &[])]);
        assert_eq!(
            merge.verify(&left),
            Err("https://hooks.example.com/… is still there".to_owned())
        );
    }

    #[test]
    fn what_was_written_is_compared_with_what_is_there() {
        let merge = merge(&settings(&[(OTHER, &[])]), OURS, &[]).expect("room");
        assert_eq!(merge.verify(&settings(&[(OTHER, &[]), (OURS, &[])])), Ok(()));
        let lost = merge.verify(&settings(&[(OURS, &[("record", 0)])])).expect_err("worse");
        assert_eq!(
            lost,
            "https://other.example.com/… is missing; https://hooks.example.com/… has another setting for record"
        );
        assert!(
            merge
                .verify(&settings(&[(OTHER, &[]), (OURS, &[("active", 0)])]))
                .is_err()
        );
    }
}
