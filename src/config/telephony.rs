use std::{collections::BTreeSet, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, place::Notes, value::Secret};
use crate::domain::ids::LocationId;

/// A telephony system that tells of calls.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telephony {
    /// Its name; the address where it tells of calls is made from it.
    pub name: String,
    /// The location its calls are filed under.
    #[schemars(with = "u64")]
    pub location: LocationId,
    /// The token from the telephony settings of the chain, by which the marketplace knows the line.
    pub crm_token: Option<Secret>,
    /// A file that holds it.
    pub crm_token_file: Option<PathBuf>,
}

/// The longest name.
const LONGEST: usize = 40;

/// Notes what cannot work, each with its remedy.
pub(super) fn check(config: &Config, notes: &mut Notes<'_>) {
    for (at, application) in config.applications.iter().enumerate() {
        let mut names = BTreeSet::new();
        for (index, system) in application.telephony.iter().enumerate() {
            let name = &system.name;
            let mut wrong = |key: &str, what: &str| {
                let key = format!("application.{at}.telephony.{index}.{key}");
                notes.at(
                    &key,
                    format!("application {}, telephony `{name}`: {what}", application.id),
                );
            };
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > LONGEST || !name.chars().all(fits) {
                wrong(
                    "name",
                    "a name has 1 to 40 small letters, digits and dashes. Remedy: one such as \"reception\"",
                );
            }
            if !names.insert(name) {
                wrong("name", "there is another of this name. Remedy: another name");
            }
            if system.location.0 <= 0 {
                wrong("location", "the location must be the positive number of a location");
            }
            if system.crm_token.is_none() && system.crm_token_file.is_none() {
                wrong(
                    "crm_token",
                    "crm_token is not set. Remedy: crm_token_file with the token of the chain's telephony settings",
                );
            }
        }
    }
}
