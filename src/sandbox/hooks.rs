//! Webhook addresses of a location and what each is subscribed to (contract 6.2).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The flags of the hook settings, in the order the server prints them.
pub(super) const FLAGS: [&str; 15] = [
    "salon",
    "service_category",
    "service",
    "good",
    "master",
    "client",
    "record",
    "goods_operations_sale",
    "goods_operations_receipt",
    "goods_operations_consumable",
    "goods_operations_stolen",
    "goods_operations_move",
    "finances_operation",
    "loyalty_card",
    "schedule",
];

/// The largest number of addresses of one location, over all applications.
pub(super) const MOST_URLS: usize = 10;

/// One webhook address of a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The address.
    pub url: String,
    /// Whose it is; absent: of an application this sandbox does not know.
    pub application_id: Option<i64>,
    /// Whether anything is sent.
    pub active: bool,
    /// Whether events caused by the application itself are sent too.
    pub self_sending: bool,
    /// The subscriptions.
    pub flags: BTreeMap<&'static str, bool>,
}

impl Hook {
    /// An address as an activation subscribes it: everything but loyalty cards.
    pub(super) fn subscribed(url: String, application_id: Option<i64>) -> Self {
        let flags = FLAGS.into_iter().map(|flag| (flag, flag != "loyalty_card")).collect();
        Self {
            url,
            application_id,
            active: true,
            self_sending: true,
            flags,
        }
    }

    /// Whether an event of this resource goes to the address. A resource that no flag
    /// names goes everywhere, so that a receiver can be tried with unknown ones.
    pub(super) fn wants(&self, resource: &str) -> bool {
        let flag = match resource {
            "company" | "location" => "salon",
            "staff" => "master",
            other => other,
        };
        self.active && self.flags.get(flag).copied().unwrap_or(true)
    }

    /// The flags as the settings print them.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let mut printed = Map::new();
        printed.insert("active".to_owned(), json!(u8::from(self.active)));
        for flag in FLAGS {
            let on = self.flags.get(flag).copied().unwrap_or(false);
            printed.insert(flag.to_owned(), json!(u8::from(on)));
        }
        printed.insert("self_sending".to_owned(), json!(u8::from(self.self_sending)));
        printed
    }
}
