use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::ids::LocationId,
    marketplace::{
        call::{Base, Call, CallName, Lane},
        lenient::{Fields, flag, text},
    },
};

/// The webhook addresses of a location, over all applications (contract W1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Whether webhooks are on at all.
    pub active: bool,
    /// The addresses.
    pub addresses: Vec<HookAddress>,
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
        self.active
            && self
                .addresses
                .iter()
                .any(|address| address.active && address.url == url)
    }
}

/// W1: the webhook settings of a location. Needs the token of the application's system user.
///
/// W2, which writes them, replaces everything at the location including the addresses of other
/// applications. Bellhop registers its address with the activation and does not write here.
pub fn settings(location_id: LocationId) -> Call<HookSettings> {
    let path = format!("hooks_settings/{location_id}");
    Call {
        lane: Lane::PartnerAndUser,
        ..Call::get(CallName::HookSettings, Base::Api, path, decode)
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
        active: fields.flag("active").unwrap_or(true),
        addresses,
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
    use serde_json::json;

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
