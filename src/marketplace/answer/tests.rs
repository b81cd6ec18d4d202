use chrono::TimeZone;
use rust_decimal::Decimal;

use super::*;
use crate::{
    domain::{
        ids::{ApplicationId, LocationId, Place},
        installation::Status,
        payment::Periods,
    },
    marketplace::{
        call::CallName,
        calls::{
            billing, cabinet, channels, dictionaries, hooks,
            installation::{self, Activation, ActivationSettings, InstallationStatus, Uninstallation, WireStatus},
            inventory, telephony,
        },
    },
};

mod any_answer;

const PLACE: Place = Place {
    application_id: ApplicationId(7),
    location_id: LocationId(100_001),
};

/// A sample by the middle of its name: status and body, unwrapped when it is a wrapper.
fn sample(name: &str) -> (u16, Option<Duration>, Vec<u8>) {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/marketplace/api-{name}.json"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    if json.get("_wrapper").is_none() {
        let status = name
            .split('-')
            .find_map(|part| part.parse().ok())
            .expect("a status in the name");
        return (status, None, bytes);
    }
    let retry_after = json["headers"]["Retry-After"].as_str();
    (
        json["http_status"].as_u64().expect("a status") as u16,
        retry_after.and_then(|value| super::retry_after(value, Utc::now())),
        json["raw_body"].as_str().expect("a body").into(),
    )
}

fn judge_sample<T>(call: &Call<T>, name: &str) -> Result<T, Error> {
    let (status, retry_after, body) = sample(name);
    judge_bytes(call, status, retry_after, &body)
}

fn judge_bytes<T>(call: &Call<T>, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Result<T, Error> {
    let answer = Answer {
        status,
        retry_after,
        location: None,
        body,
    };
    judge(call, &answer)
}

fn activate() -> Call<Activation> {
    installation::activate(PLACE, &ActivationSettings::default()).expect("within limits")
}

fn discount() -> Call<()> {
    billing::add_discount(PLACE.application_id, &[PLACE.location_id], Decimal::TEN).expect("within limits")
}

fn salons() -> Call<inventory::Page> {
    inventory::salons(PLACE.application_id, 1, 1000).expect("within limits")
}

fn report() -> Call<i64> {
    let day = chrono::NaiveDate::default().and_hms_opt(0, 0, 0).expect("midnight");
    let report = billing::PaymentReport {
        amount: Decimal::ONE_HUNDRED,
        currency: "EUR".to_owned(),
        paid_at: day,
        period_from: day,
        period_to: day,
    };
    billing::report_payment(PLACE, &report).expect("within limits")
}

fn status_of(name: &str) -> InstallationStatus {
    judge_sample(&installation::status(PLACE), name).expect(name)
}

fn periods_of(status: &InstallationStatus) -> Periods {
    let observation = status.observation(chrono_tz::UTC, Utc::now()).expect("a known status");
    Periods::of(&observation.payments)
}

#[test]
fn a_status_is_read_in_all_its_editions() {
    let active = status_of("installation_status-200-altegio_docs");
    assert_eq!(active.status, WireStatus::Known(Status::Active));
    assert_eq!(active.payments[0].amount, Some(Decimal::new(152_312, 2)));
    assert_eq!(active.logs[1].to, Some(WireStatus::Known(Status::Active)));
    assert_eq!(active.logs[1].source.as_deref(), Some("partner_api"));
    let seen = active
        .observation(chrono_tz::Europe::Moscow, Utc::now())
        .expect("a known status");
    assert_eq!(
        seen.created_at,
        Some(Utc.with_ymd_and_hms(2022, 6, 27, 9, 20, 2).unwrap())
    );
    assert_eq!(seen.payments[0].id, Some(1523));

    let frozen = status_of("installation_status_freezed-200-hiteam");
    assert_eq!(frozen.status, WireStatus::Known(Status::Frozen));
    assert!(frozen.payments.is_empty() && frozen.logs.is_empty());

    let trial = periods_of(&status_of("installation_status_trial-200-hiteam"));
    assert_eq!(
        trial.trial_ends_at,
        Some(Utc.with_ymd_and_hms(2026, 6, 29, 23, 59, 59).unwrap())
    );
    assert!(!trial.has_paid);

    let two = periods_of(&status_of("installation_status_two_periods-200-hiteam"));
    assert_eq!(two.paid_until, Some(Utc.with_ymd_and_hms(2026, 7, 4, 0, 0, 0).unwrap()));
    assert!(two.has_paid);
}

#[test]
fn not_installed_is_a_value_only_when_the_marketplace_says_so() {
    let status = installation::status(PLACE);
    let none = judge_sample(&status, "not_installed-404-altegio_docs").expect("a value");
    assert_eq!(none, InstallationStatus::not_installed());
    let uninstall = installation::uninstall(PLACE);
    let none = judge_sample(&uninstall, "not_installed-404-altegio_docs");
    assert_eq!(none, Ok(Uninstallation::NotInstalled));

    let not_ours = judge_sample(&status, "add_discount-404-altegio_docs");
    assert!(matches!(not_ours, Err(Error::NotFound { .. })), "{not_ours:?}");
    let wrong_path = br#"{"success":false,"data":null,"meta":{"message":"An error has occurred"}}"#;
    for body in [&wrong_path[..], b"<html>nginx</html>", b""] {
        let result = judge_bytes(&status, 404, None, body);
        assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
    }
}

#[test]
fn words_and_amounts_we_do_not_know_conclude_nothing() {
    let body = br#"{"data":{"connection_status":{"status":"paused"},"payments":[]}}"#;
    let status = judge_bytes(&installation::status(PLACE), 200, None, body).expect("a status");
    assert_eq!(status.status, WireStatus::Unknown("paused".to_owned()));
    assert_eq!(status.observation(chrono_tz::UTC, Utc::now()), None);

    let body =
        br#"{"data":{"connection_status":{"status":"active"},"payments":[{"period_to":"2026-06-29 00:00:00"}]}}"#;
    let status = judge_bytes(&installation::status(PLACE), 200, None, body).expect("a status");
    assert_eq!(periods_of(&status), Periods::default());

    for empty in [&b"{\"success\":true,\"data\":[]}"[..], b"[]", b"{}", b"null", b""] {
        let result = judge_bytes(&installation::status(PLACE), 200, None, empty);
        assert!(
            matches!(result, Err(Error::Fault { status: Some(200), .. })),
            "{result:?}"
        );
    }
}

#[test]
fn an_activation_is_done_was_done_or_is_uncertain() {
    let user = judge_sample(&activate(), "callback-201-yclients_python");
    assert_eq!(
        user,
        Ok(Activation::Done {
            user_id: Some(9_000_001)
        })
    );
    let empty = judge_sample(&activate(), "callback-201-empty_body-altegio_docs");
    assert_eq!(empty, Ok(Activation::Done { user_id: None }));
    for name in [
        "callback-403-already_installed-altegio_hub",
        "callback-403-already_installed-yclients",
    ] {
        assert_eq!(judge_sample(&activate(), name), Ok(Activation::AlreadyInstalled));
    }
    let shouted = r#"{"meta":{"message":"ПОЛЬЗОВАТЕЛЬ УЖЕ УСТАНОВИЛ ЭТО ПРИЛОЖЕНИЕ"}}"#;
    let shouted = judge_bytes(&activate(), 403, None, shouted.as_bytes());
    assert_eq!(shouted, Ok(Activation::AlreadyInstalled));
    let other = judge_sample(&activate(), "any-403-altegio_docs");
    assert_eq!(
        other,
        Err(Error::Forbidden {
            message: "Access denied.".to_owned()
        })
    );
    for name in ["callback-html-ai_admin", "callback-301-altegio_docs"] {
        let result = judge_sample(&activate(), name);
        assert!(matches!(result, Err(Error::Unknown { .. })), "{name}: {result:?}");
    }
}

#[test]
fn lists_links_and_numbers_are_read() {
    let page = judge_sample(&salons(), "salons-200-altegio_docs").expect("a page");
    let location = &page.locations[0];
    assert_eq!((page.listed, location.id), (1, LocationId(1050)));
    assert_eq!(location.timezone_name.as_deref(), Some("America/New_York"));
    assert_eq!(location.currency.as_deref(), Some("$"));

    let tariffs = inventory::tariffs(PLACE.application_id);
    let read = judge_sample(&tariffs, "tariffs-200-altegio_docs").expect("tariffs");
    assert_eq!(inventory::cheapest_option(&read), Some(123));
    assert_eq!(judge_sample(&tariffs, "tariffs_empty-200-inferred"), Ok(Vec::new()));

    let link = billing::payment_link(PLACE, None, None).expect("within limits");
    let link = judge_sample(&link, "payment_link-200-altegio_docs").expect("a link");
    assert!(
        link.starts_with("https://alteg.io/appstore/payment/?salon_id=1111&"),
        "{link}"
    );

    assert_eq!(judge_sample(&report(), "payment-200-altegio_docs"), Ok(123));
    assert_eq!(judge_sample(&discount(), "add_discount-200-altegio_docs"), Ok(()));
    for name in ["uninstall-200-altegio_docs", "uninstall-200-meta_list-inferred"] {
        assert_eq!(
            judge_sample(&installation::uninstall(PLACE), name),
            Ok(Uninstallation::Done)
        );
    }
}

#[test]
fn webhook_settings_are_read_from_new_and_old_servers() {
    let hooks = hooks::settings(PLACE.location_id);
    let new = judge_sample(&hooks, "hooks_settings-200-altegio_hub").expect("settings");
    assert!(new.serves("https://app.example.com/hooks/altegio"));
    assert!(!new.serves("https://app.example.com/hooks/other"));
    let [first, second] = new.addresses.as_slice() else {
        panic!("two addresses: {new:?}");
    };
    assert_eq!((first.resources["good"], second.resources["good"]), (true, false));
    assert_eq!((first.self_sending, second.self_sending), (Some(false), Some(true)));

    let old = judge_sample(&hooks, "hooks_settings_legacy-200-altegio_hub").expect("settings");
    assert!(old.serves("http://legacy.example.com/hook"));
    assert_eq!(old.addresses[0].resources.get("good"), None);
    assert!(old.addresses[0].resources["location"]);

    let off = judge_sample(&hooks, "hooks_settings-201-altegio_docs").expect("settings");
    assert!(!off.serves("https://dev.example.com/hooks"));
}

fn phone_calls() -> Call<Vec<telephony::PhoneCall>> {
    let day = chrono::NaiveDate::default();
    let filter = telephony::Filter {
        location_id: PLACE.location_id,
        from: day,
        to: day,
        phone: None,
        directions: Vec::new(),
        statuses: Vec::new(),
        page: None,
    };
    telephony::calls(&filter, false)
}

#[test]
fn telephone_calls_are_read_and_nobody_is_not_client_0() {
    let calls = judge_sample(&phone_calls(), "voip_calls-200-altegio_docs").expect("calls");
    let [known, unknown] = calls.as_slice() else {
        panic!("two calls: {calls:?}");
    };
    assert_eq!((known.client_id, known.duration_seconds), (Some(51_342_134), Some(244)));
    assert_eq!((unknown.client_id, unknown.recording.as_deref()), (None, None));
    assert_eq!(unknown.status.as_deref(), Some("missed"));
    let token = secrecy::SecretString::from("line");
    assert_eq!(
        judge_sample(&telephony::setup(&token, true), "voip_event-202-altegio_docs"),
        Ok(())
    );
}

#[test]
fn dictionaries_are_read() {
    let countries = judge_sample(&dictionaries::countries(), "countries-200-altegio_docs").expect("countries");
    let codes: Vec<(i64, Option<&str>)> = countries.iter().map(|one| (one.id, one.iso_code.as_deref())).collect();
    assert_eq!(codes, [(7, Some("US")), (56, Some("FR"))]);
    let cities = judge_sample(&dictionaries::cities(None, None), "cities-200-altegio_docs").expect("cities");
    assert_eq!((cities[2].id, cities[2].title.as_deref()), (1201, Some("București")));
    let types = judge_sample(&dictionaries::business_groups(), "business_groups-200-altegio_docs").expect("groups");
    let spa = types
        .iter()
        .find(|kind| kind.title.as_deref() == Some("Spa"))
        .expect("there");
    assert_eq!((spa.group_id, spa.group_title.as_deref()), (1, Some("beauty")));
    // An empty dictionary is one; a page of HTML or nothing is none.
    assert_eq!(
        judge_bytes(&dictionaries::countries(), 200, None, br#"{"data":[]}"#),
        Ok(Vec::new())
    );
    for none in [&b"{}"[..], b"", b"<html>"] {
        assert!(judge_bytes(&dictionaries::countries(), 200, None, none).is_err());
    }
}

#[test]
fn refusals_are_named_by_what_to_do() {
    let read = installation::status(PLACE);
    let message = |text: &str| text.to_owned();
    assert_eq!(
        judge_sample(&discount(), "add_discount-403-altegio_docs"),
        Err(Error::Forbidden {
            message: message("No access to application")
        })
    );
    assert_eq!(
        judge_sample(&discount(), "add_discount-404-altegio_docs"),
        Err(Error::NotFound {
            message: message("Application not found")
        })
    );
    assert_eq!(
        judge_sample(&discount(), "any-401-altegio_docs"),
        Err(Error::Unauthorized {
            message: message("Authentication needed.")
        })
    );
    let channel = channels::update_channel(PLACE, channels::Channel::Sms, true);
    let invalid = judge_sample(&channel, "any_errors_object-422-altegio_docs").expect_err("refused");
    insta::assert_snapshot!(invalid, @r#"the values were refused (422): An error has occurred. {"channel_slug":["The value is not allowed."]}"#);
    let invalid = judge_sample(&channel, "any-422-altegio_docs").expect_err("refused");
    insta::assert_snapshot!(invalid, @"the values were refused (422): An error has occurred.");
    assert_eq!(
        judge_sample(&read, "any-429-inferred"),
        Err(Error::Throttled {
            retry_after: Some(Duration::from_secs(3))
        })
    );
    let reason = || message("An error has occurred");
    assert_eq!(
        judge_sample(&read, "any-500-yclients_generic"),
        Err(Error::Fault {
            status: Some(500),
            reason: reason()
        })
    );
    assert_eq!(
        judge_sample(&report(), "any-500-yclients_generic"),
        Err(Error::Unknown {
            status: Some(500),
            reason: reason()
        })
    );
    assert_eq!(
        judge_bytes(&discount(), 200, None, br#"{"success":0,"meta":{"message":"no"}}"#),
        Err(Error::Rejected {
            status: 200,
            message: message("no")
        })
    );
}

#[test]
fn a_payment_without_its_number_is_uncertain_not_done() {
    for body in [&b""[..], b"{\"success\":true,\"data\":{}}", b"<html>"] {
        let result = judge_bytes(&report(), 200, None, body);
        assert!(matches!(result, Err(Error::Unknown { .. })), "{result:?}");
    }
    assert_eq!(judge_bytes(&billing::refund_payment(5), 200, None, b""), Ok(()));
}

#[test]
fn a_label_is_the_serialised_name() {
    for name in CallName::ALL {
        assert_eq!(serde_json::to_value(name).expect("a name"), name.as_str());
    }
}
