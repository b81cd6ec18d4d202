//! Lifecycle callbacks and their signature (contract 7.2).

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Number, Value, json};
use sha2::Sha256;

use super::sender::Outgoing;
use super::state::{Key, State};

/// Lower-case hex of HMAC-SHA256: both signatures of the contract are made by it.
pub(super) fn sign(key: &str, text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC-SHA256 takes a key of any length");
    mac.update(text);
    hex::encode(mac.finalize().into_bytes())
}

/// What a `payment` callback tells.
#[derive(Debug)]
pub(super) struct PaidPeriod {
    pub(super) payment_id: i64,
    pub(super) amount: Number,
    pub(super) currency_iso: String,
    pub(super) discount: Option<Number>,
    pub(super) period_from: String,
    pub(super) period_to: String,
    pub(super) payment_date: String,
    pub(super) tariff_option_id: Option<i64>,
}

/// The body of `uninstall` and `freeze`.
pub(super) fn lifecycle(key: Key, event: &str, token: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("salon_id".to_owned(), json!(key.1));
    body.insert("application_id".to_owned(), json!(key.0));
    body.insert("event".to_owned(), json!(event));
    body.insert("partner_token".to_owned(), json!(token));
    body
}

/// The body of `payment`, signed.
pub(super) fn payment(key: Key, token: &str, paid: &PaidPeriod) -> Map<String, Value> {
    let mut body = lifecycle(key, "payment", token);
    let sign = payment_sign(token, key.1, &paid.amount, paid.discount.as_ref());
    let fields = json!({
        "payment_id": paid.payment_id,
        "amount": paid.amount,
        "currency_iso": paid.currency_iso,
        "discount": paid.discount,
        "period_from": paid.period_from,
        "period_to": paid.period_to,
        "payment_date": paid.payment_date,
        "tariff_option_id": paid.tariff_option_id,
        "sign": sign,
    });
    if let Value::Object(fields) = fields {
        body.extend(fields);
    }
    body
}

/// Signs a payment over the literal text of its numbers, as the body prints them.
pub(super) fn payment_sign(token: &str, location_id: i64, amount: &Number, discount: Option<&Number>) -> String {
    let mut text = format!("salon_id={location_id}&amount={amount}");
    if let Some(discount) = discount {
        text.push_str(&format!("&discount={discount}"));
    }
    sign(token, text.as_bytes())
}

impl State {
    /// Queues a callback for the application's callback URL.
    pub(super) fn call_back(&mut self, key: Key, event: &str, body: Map<String, Value>) {
        let url = match self.applications.get(&key.0) {
            Some(application) if !application.callback_url.is_empty() => application.callback_url.clone(),
            _ => return,
        };
        let body = Value::Object(body).to_string();
        self.callbacks.push(Outgoing::callback(key, event, url, body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "test-partner-token-0001";

    #[test]
    fn payments_are_signed_as_in_the_contract() {
        let number = |text: &str| serde_json::from_str::<Number>(text).expect("a number");
        let cases = [
            (
                "100",
                None,
                "68ee7627699117595042669cdd1975acc9c5b02237b46c68c3997521d6c26362",
            ),
            (
                "100",
                Some("5"),
                "44a0e992d61647cc2d6f38304c465777aa54f501f6c5fa73f6358d57091b993d",
            ),
            (
                "990.99",
                Some("15.5"),
                "5c433578dde3f1b3f0058482ccf5973cf3f9abb9ebed734106050c6be3f6a32e",
            ),
            (
                "0",
                Some("100"),
                "ba0799541bf1bcfd0b3b2d5409e09e32b1dbbc87755def5a4eb48f9f7dddb5a1",
            ),
        ];
        for (amount, discount, expected) in cases {
            let discount = discount.map(number);
            let made = payment_sign(TOKEN, 100_001, &number(amount), discount.as_ref());
            assert_eq!(made, expected);
        }
    }
}
