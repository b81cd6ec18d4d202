/// The careful way to put an address back that is missing.
pub mod merge;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::merge::Merge;
use crate::{
    domain::ids::LocationId,
    marketplace::{
        call::{Base, Call, CallName, Lane, nothing},
        lenient::{Fields, flag, text},
    },
};

/// The webhook addresses of a location, over all applications (contract W1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// The addresses.
    pub addresses: Vec<HookAddress>,
    /// Whether the server told each address apart. Older ones tell only what the first one gets.
    pub told_apart: bool,
}

/// One address with what is sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAddress {
    /// Where to.
    pub url: String,
    /// Whether anything is sent.
    pub active: bool,
    /// Whether events that we caused ourselves are sent too; older servers do not say.
    pub self_sending: Option<bool>,
    /// Resources, in our words, and whether they are sent. Older servers leave some out.
    pub resources: BTreeMap<String, bool>,
}

impl HookSettings {
    /// Whether anything is sent to this address.
    pub fn serves(&self, url: &str) -> bool {
        self.addresses
            .iter()
            .any(|address| address.active && address.url == url)
    }
}

/// W1: the webhook settings of a location. Needs the token of the application's system user.
pub fn settings(location_id: LocationId) -> Call<HookSettings> {
    let path = format!("hooks_settings/{location_id}");
    Call {
        lane: Lane::PartnerAndUser,
        ..Call::get(CallName::HookSettings, Base::Api, path, decode)
    }
}

/// W2: replaces the webhook settings of a location, **of all applications**. Needs the token of the
/// application's system user. An address is registered with the activation (M8); this is for a repair
/// only: read W1, [`merge::merge`], write, read again and [`Merge::verify`].
pub fn replace(location_id: LocationId, merge: &Merge) -> Call<()> {
    let mut body = json!({ "active": 1, "urls": merge.urls });
    for (wire, ours) in RESOURCE_FLAGS {
        body[wire] = json!(u8::from(merge.resources.get(ours).copied().unwrap_or(false)));
    }
    if let Some(self_sending) = merge.self_sending {
        body["self_sending"] = json!(u8::from(self_sending));
    }
    let path = format!("hooks_settings/{location_id}");
    let call = Call::post(CallName::ReplaceHooks, Base::Api, path, nothing).body(body);
    Call {
        lane: Lane::PartnerAndUser,
        ..call
    }
}

fn decode(data: Option<Value>) -> Result<HookSettings, String> {
    let data = data.unwrap_or_default();
    let fields = Fields::of(&data);
    if fields.get("urls").is_none() && fields.get("url_settings").is_none() {
        return Err("neither urls nor url_settings".to_owned());
    }
    let listed = fields.list("url_settings");
    let addresses = if listed.is_empty() {
        // Older servers: one set of flags for all addresses. No address is printed as `[""]`.
        let urls = fields.list("urls").iter().filter_map(text);
        urls.map(|url| address(url, fields)).collect()
    } else {
        let one = |value: &Value| Some(address(Fields::of(value).text("url")?, Fields::of(value)));
        listed.iter().filter_map(one).collect()
    };
    Ok(HookSettings {
        addresses,
        told_apart: !listed.is_empty(),
    })
}

fn address(url: String, fields: Fields<'_>) -> HookAddress {
    let resources = RESOURCE_FLAGS.iter().filter_map(|(wire, ours)| {
        let sent = fields.get(wire).and_then(flag)?;
        Some(((*ours).to_owned(), sent))
    });
    HookAddress {
        url,
        active: fields.flag("active").unwrap_or(true),
        self_sending: fields.flag("self_sending"),
        resources: resources.collect(),
    }
}

/// Flags of the settings and the resources they stand for (contract 6.2).
const RESOURCE_FLAGS: [(&str, &str); 15] = [
    ("salon", "location"),
    ("master", "staff"),
    ("service", "service"),
    ("service_category", "service_category"),
    ("client", "client"),
    ("record", "record"),
    ("good", "good"),
    ("goods_operations_sale", "goods_operations_sale"),
    ("goods_operations_receipt", "goods_operations_receipt"),
    ("goods_operations_consumable", "goods_operations_consumable"),
    ("goods_operations_stolen", "goods_operations_stolen"),
    ("goods_operations_move", "goods_operations_move"),
    ("finances_operation", "finances_operation"),
    ("schedule", "schedule"),
    ("loyalty_card", "loyalty_card"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::RESOURCES;

    #[test]
    fn every_flag_stands_for_a_resource_we_know() {
        for (_, ours) in RESOURCE_FLAGS {
            assert!(RESOURCES.contains(&ours), "{ours}");
        }
    }

    #[test]
    fn no_address_is_printed_as_an_empty_text() {
        let settings = decode(Some(json!({"urls": [""], "active": 1}))).expect("settings");
        assert!(settings.addresses.is_empty());
        assert!(decode(Some(json!([]))).is_err());
        assert!(decode(None).is_err());
    }
}
