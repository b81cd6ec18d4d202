use proptest::prelude::*;

use super::*;

/// Whatever the answer, every call makes something of it, and only calls that change something
/// leave a question open.
fn judge_everywhere(status: u16, body: &[u8]) {
    fn check<T>(call: &Call<T>, status: u16, body: &[u8]) {
        match judge_bytes(call, status, None, body) {
            Err(Error::Unknown { .. }) => assert!(call.name().changes_state(), "{:?}", call.name()),
            Err(Error::Fault { .. }) => assert!(!call.name().changes_state(), "{:?}", call.name()),
            Ok(_) | Err(_) => {}
        }
    }
    let read = installation::status(PLACE);
    if let Ok(seen) = judge_bytes(&read, status, None, body) {
        let _ = seen.observation(chrono_tz::Asia::Almaty, Utc::now());
    }
    check(&read, status, body);
    check(&installation::uninstall(PLACE), status, body);
    check(&activate(), status, body);
    check(&salons(), status, body);
    check(&inventory::tariffs(PLACE.application_id), status, body);
    check(&discount(), status, body);
    check(
        &billing::payment_link(PLACE, None, None).expect("within limits"),
        status,
        body,
    );
    check(&report(), status, body);
    check(&billing::refund_payment(1), status, body);
    check(
        &channels::update_channel(PLACE, channels::Channel::Sms, true),
        status,
        body,
    );
    check(
        &channels::short_names(PLACE, &["Example".to_owned()]).expect("within limits"),
        status,
        body,
    );
    check(&hooks::settings(PLACE.location_id), status, body);
    if let Ok(settings) = judge_bytes(&hooks::settings(PLACE.location_id), status, None, body) {
        let _ = hooks::merge::merge(&settings, "https://hooks.example.com/", &[]).map(|merge| merge.verify(&settings));
    }
    check(&phone_calls(), status, body);
    check(&dictionaries::countries(), status, body);
    check(&dictionaries::cities(None, None), status, body);
    check(&dictionaries::business_groups(), status, body);
    check(
        &cabinet::toggle_highlight(PLACE, cabinet::Frame::Chat, None, true),
        status,
        body,
    );
    check(&installation::grant_access(PLACE), status, body);
}

/// JSON made of the field names and odd values that the marketplace uses.
fn json() -> impl Strategy<Value = Value> {
    let odd = prop::sample::select(vec![
        "",
        "0000-00-00",
        "1970-01-01",
        "active",
        "freezed",
        "9e999",
        "-1",
        "2026-10-25 02:30:00",
        "9999-12-31 23:59:59",
        "262143-12-31 23:59:59",
        "https://example.com",
        "2026-03-29T02:30:00+9959",
        "💈",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        odd.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "success",
        "data",
        "meta",
        "message",
        "errors",
        "connection_status",
        "status",
        "created_at",
        "payments",
        "payment_sum",
        "period_from",
        "period_to",
        "is_refunded",
        "logs",
        "id",
        "url",
        "urls",
        "url_settings",
        "active",
        "options",
        "overall_price",
        "user_id",
        "title",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_panics(status in 100_u16..600, body in json()) {
        judge_everywhere(status, body.to_string().as_bytes());
        judge_everywhere(200, serde_json::json!({ "data": body }).to_string().as_bytes());
    }

    #[test]
    fn no_bytes_panic(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..200), wait in "\\PC*") {
        judge_everywhere(status, &body);
        let _ = retry_after(&wait, Utc::now());
    }
}
