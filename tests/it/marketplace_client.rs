//! The client against real sockets: what it sends, and what it makes of bad days.

use std::time::{Duration, Instant};

use bellhop::{
    config::brand::Brand,
    domain::{
        ids::{ApplicationId, LocationId, Place},
        phone_call::Direction,
    },
    marketplace::{
        call::Call,
        calls::{
            billing, cabinet, channels, dictionaries, hooks,
            installation::{self, Activation, ActivationSettings},
            inventory, telephony,
        },
        client::{Client, Endpoint, Exchange, Permit},
        error::Error,
    },
};
use rust_decimal::Decimal;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const TOKEN: &str = "test-partner-token-0001";
const PLACE: Place = Place {
    application_id: ApplicationId(7),
    location_id: LocationId(100_001),
};

/// What a server does with a request, once it has read it.
#[derive(Clone)]
enum Answer {
    /// Says this, and hangs up.
    Raw(Vec<u8>),
    /// Says this much, and then nothing more.
    Stall(Vec<u8>),
}

/// A server that treats every request alike. Returns its address and the requests as they come.
async fn server(answer: Answer) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/base", listener.local_addr().expect("an address"));
    let (heard, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (answer, heard) = (answer.clone(), heard.clone());
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !complete(&bytes) && socket.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
                let _ = heard.send(String::from_utf8_lossy(&bytes).into_owned());
                match answer {
                    Answer::Raw(bytes) => {
                        let _ = socket.write_all(&bytes).await;
                        let _ = socket.shutdown().await;
                    }
                    Answer::Stall(bytes) => {
                        let _ = socket.write_all(&bytes).await;
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                }
            });
        }
    });
    (address, requests)
}

fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().expect("a length"))
}

fn http(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Raw(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes())
}

fn client(base: &str, user_token: Option<&str>) -> Client {
    let base: url::Url = base.parse().expect("a URL");
    Client::new(Endpoint {
        partner_base: base.clone(),
        billing_base: format!("{base}/billing").parse().expect("a URL"),
        api_base: format!("{base}/api/").parse().expect("a URL"),
        accept: Brand::Altegio.accept().to_owned(),
        partner_token: TOKEN.into(),
        user_token: user_token.map(Into::into),
        request_timeout: Duration::from_millis(500),
    })
    .expect("a client")
}

async fn send<T>(answer: Answer, call: &Call<T>) -> (Exchange, Result<T, Error>, String) {
    let (base, mut requests) = server(answer).await;
    let (exchange, result) = client(&base, Some("user-token")).send(Permit::granted(), call).await;
    let request = requests.recv().await.expect("a request");
    assert!(requests.try_recv().is_err(), "one permit is one request");
    (exchange, result, request)
}

/// Request line, our headers and body, without what differs from run to run.
fn shown(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let ours = |line: &&str| !line.starts_with("host:") && !line.starts_with("content-length:");
    let head: Vec<&str> = head.lines().filter(ours).collect();
    format!("{}\n\n{body}", head.join("\n"))
}

async fn request_of<T>(call: &Call<T>) -> String {
    let (_, _, request) = send(http("200 OK", "", ""), call).await;
    shown(&request)
}

fn activation(settings: &ActivationSettings) -> Call<Activation> {
    installation::activate(PLACE, settings).expect("within limits")
}

#[tokio::test]
async fn an_activation_on_the_wire() {
    let settings = ActivationSettings {
        webhook_urls: vec!["https://hooks.example.com/apps/7/hooks/100001/key".to_owned()],
        channels: vec![channels::Channel::Sms],
        api_key: Some("a key".to_owned()),
        ..ActivationSettings::default()
    };
    insta::assert_snapshot!(request_of(&activation(&settings)).await, @r#"
    POST /base/partner/callback HTTP/1.1
    authorization: Bearer test-partner-token-0001
    content-type: application/json
    accept: application/vnd.api.v2+json
    user-agent: bellhop/0.1.0

    {"salon_id":100001,"application_id":7,"webhook_urls":["https://hooks.example.com/apps/7/hooks/100001/key"],"channels":["sms"],"api_key":"a key"}
    "#);
}

#[tokio::test]
async fn a_read_with_both_tokens_on_the_wire() {
    insta::assert_snapshot!(request_of(&hooks::settings(PLACE.location_id)).await, @r#"
    GET /base/api/hooks_settings/100001 HTTP/1.1
    authorization: Bearer test-partner-token-0001, User user-token
    accept: application/vnd.api.v2+json
    user-agent: bellhop/0.1.0
    
"#);
    let (base, mut requests) = server(http("200 OK", "", "")).await;
    let call = hooks::settings(PLACE.location_id);
    let (_, result) = client(&base, None).send(Permit::granted(), &call).await;
    assert!(matches!(result, Err(Error::Unauthorized { .. })), "{result:?}");
    assert!(requests.try_recv().is_err(), "nothing was sent");
}

/// Method, path and body of a request.
fn first(request: String) -> String {
    let line = request.lines().next().expect("a line").to_owned();
    let body = request.split_once("\n\n").expect("a head").1.to_owned();
    format!("{} {body}", line.trim_end_matches(" HTTP/1.1"))
        .trim()
        .to_owned()
}

#[tokio::test]
async fn every_other_call_has_its_path_and_body() {
    let discount: Decimal = "15.540".parse().expect("a number");
    let locations = [LocationId(1), LocationId(2)];
    let day = |day| chrono::NaiveDate::from_ymd_opt(2026, 6, day).and_then(|day| day.and_hms_opt(9, 5, 0));
    let report = billing::PaymentReport {
        amount: Decimal::new(152_312, 2),
        currency: "EUR".to_owned(),
        paid_at: day(1).expect("a day"),
        period_from: day(1).expect("a day"),
        period_to: day(30).expect("a day"),
    };
    let names = ["Example".to_owned()];
    // Some servers refuse a POST without a length (411), even when there is nothing to send.
    let (_, _, request) = send(http("200 OK", "", ""), &billing::refund_payment(123)).await;
    assert!(request.contains("content-length: 0\r\n"), "{request}");
    let calls = [
        first(request_of(&inventory::salons(PLACE.application_id, 1, 1000).expect("fine")).await),
        first(request_of(&inventory::tariffs(PLACE.application_id)).await),
        first(request_of(&billing::add_discount(PLACE.application_id, &locations, discount).expect("fine")).await),
        first(request_of(&billing::payment_link(PLACE, Some(123), Some(discount)).expect("fine")).await),
        first(request_of(&billing::payment_link(PLACE, None, None).expect("fine")).await),
        first(request_of(&channels::update_channel(PLACE, channels::Channel::Whatsapp, false)).await),
        first(request_of(&installation::status(PLACE)).await),
        first(request_of(&installation::uninstall(PLACE)).await),
        first(request_of(&billing::report_payment(PLACE, &report).expect("fine")).await),
        first(request_of(&billing::refund_payment(123)).await),
        first(request_of(&channels::short_names(PLACE, &names).expect("fine")).await),
    ];
    insta::assert_snapshot!(calls.join("\n"), @r#"
    GET /base/application/7/salons?page=1&count=1000
    GET /base/billing/application/7/tariffs
    POST /base/billing/application/add_discount {"salon_ids":[1,2],"application_id":7,"discount":15.54}
    GET /base/billing/application/payment_link?salon_id=100001&application_id=7&tariff_option_id=123&discount=15.54
    GET /base/billing/application/payment_link?salon_id=100001&application_id=7
    POST /base/billing/application/update_channel {"salon_id":100001,"application_id":7,"channel_slug":"whatsapp","is_available":false}
    GET /base/salon/100001/application/7
    POST /base/salon/100001/application/7/uninstall
    POST /base/partner/payment {"salon_id":100001,"application_id":7,"payment_sum":1523.12,"currency_iso":"EUR","payment_date":"2026-06-01 09:05:00","period_from":"2026-06-01 09:05:00","period_to":"2026-06-30 09:05:00"}
    POST /base/partner/payment/refund/123
    POST /base/partner/short_names {"salon_id":100001,"application_id":7,"short_names":["Example"]}
    "#);
}

#[tokio::test]
async fn the_calls_of_the_business_api_have_their_paths_and_bodies() {
    let settings = hooks::HookSettings {
        addresses: Vec::new(),
        told_apart: true,
    };
    let merge = hooks::merge::merge(&settings, "https://hooks.example.com/a", &[]).expect("room");
    let message = cabinet::ChatMessage {
        phone: "10000000001".to_owned(),
        name: "Anna".to_owned(),
        text: "Hello".to_owned(),
    };
    let line = secrecy::SecretString::from("line");
    let parties = telephony::Parties {
        phone: "+10000000001".to_owned(),
        diversion: "100".to_owned(),
        user: Some("sip-1".to_owned()),
    };
    let ended = telephony::EndedCall {
        call_id: Some("c-1".to_owned()),
        direction: Direction::Outgoing,
        parties: parties.clone(),
        started_at: "2026-06-01T09:05:00+03:00".parse().expect("a date"),
        duration_seconds: 12,
        answered: false,
        recording: None,
    };
    let day = chrono::NaiveDate::from_ymd_opt(2026, 6, 1).expect("a day");
    let filter = telephony::Filter {
        location_id: PLACE.location_id,
        from: day,
        to: day,
        phone: Some("+1".to_owned()),
        directions: vec![Direction::Incoming, Direction::Internal],
        statuses: vec!["missed".to_owned()],
        page: Some((1, 50)),
    };
    let calls = [
        first(request_of(&hooks::replace(PLACE.location_id, &merge)).await),
        first(request_of(&installation::grant_access(PLACE)).await),
        first(request_of(&cabinet::new_message(PLACE, &message).expect("fine")).await),
        first(request_of(&cabinet::install_frame(PLACE, cabinet::Frame::WaitingList, None).expect("fine")).await),
        first(request_of(&cabinet::toggle_highlight(PLACE, cabinet::Frame::Chat, Some(5), true)).await),
        first(request_of(&telephony::setup(&line, false)).await),
        first(request_of(&telephony::ringing(&line, Direction::Incoming, &parties)).await),
        first(request_of(&telephony::ended(&line, &ended)).await),
        first(request_of(&telephony::calls(&filter, false)).await),
        first(request_of(&telephony::calls(&filter, true)).await),
        first(request_of(&dictionaries::countries()).await),
        first(request_of(&dictionaries::cities(Some(7), Some(PLACE.location_id))).await),
        first(request_of(&dictionaries::business_groups()).await),
    ];
    insta::assert_snapshot!(calls.join("\n"), @r#"
    POST /base/api/hooks_settings/100001 {"active":1,"urls":["https://hooks.example.com/a"],"salon":1,"master":1,"service":1,"service_category":1,"client":1,"record":1,"good":1,"goods_operations_sale":1,"goods_operations_receipt":1,"goods_operations_consumable":1,"goods_operations_stolen":1,"goods_operations_move":1,"finances_operation":1,"schedule":1,"loyalty_card":0,"self_sending":1}
    POST /base/api/company/100001/marketplace/applications/7/grant_access
    POST /base/application/new_message {"salon_id":100001,"application_id":7,"phone_from":"10000000001","message":"Hello","name":"Anna"}
    POST /base/application/install_frame {"salon_id":100001,"application_id":7,"type":"waiting_list","url":null}
    POST /base/application/toggle_highlight {"salon_id":100001,"application_id":7,"type":"chat","user_id":5,"is_enabled":true}
    POST /base/api/voip/integration {"command":"setup","type":"disable","crm_token":"line"}
    POST /base/api/voip/integration {"command":"event","type":"incoming","phone":"+10000000001","diversion":"100","user":"sip-1","crm_token":"line"}
    POST /base/api/voip/integration {"command":"history","type":"outgoing","duration":12,"status":"missed","date":"2026-06-01T09:05:00+03:00","phone":"+10000000001","diversion":"100","user":"sip-1","call_id":"c-1","crm_token":"line"}
    GET /base/api/voip/integration/calls?salon_id=100001&date_from=2026-06-01&date_to=2026-06-01&phone=%2B1&types%5B%5D=incoming&types%5B%5D=internal&statuses%5B%5D=missed&page=1&limit=50
    GET /base/api/voip/integration/calls?salon_id=100001&date_from=2026-06-01&date_to=2026-06-01&phone=%2B1&types%5B%5D=incoming&types%5B%5D=internal&statuses%5B%5D=missed&page=1&limit=50 {"salon_id":100001,"date_from":"2026-06-01","date_to":"2026-06-01","types":["incoming","internal"],"statuses":["missed"],"phone":"+1","page":1,"limit":50}
    GET /base/api/countries
    GET /base/api/cities?country_id=7&company_id=100001
    GET /base/api/references/business_groups_with_types
    "#);
}

#[tokio::test]
async fn what_an_operator_sees_holds_no_secret() {
    let call = billing::payment_link(PLACE, None, None).expect("within limits");
    let sign = "0".repeat(64);
    let link = format!("https://alteg.io/appstore/payment/?salon_id=1&sign={sign}");
    let body = json!({"data": {"url": link, "echo": TOKEN, "partner_token": "x"}}).to_string();
    let (exchange, result, _) = send(http("200 OK", "", &body), &call).await;
    assert_eq!(result, Ok(link));
    let seen = serde_json::to_string(&exchange).expect("JSON");
    assert!(!seen.contains(TOKEN) && !seen.contains(&sign), "{seen}");
    assert!(exchange.duration_seconds > 0.0);
    let mut fixed = serde_json::to_value(&exchange).expect("JSON");
    fixed["duration_seconds"] = json!(0);
    insta::assert_json_snapshot!(fixed, @r#"
    {
      "call": "payment_link",
      "method": "GET",
      "path": "application/payment_link?salon_id=100001&application_id=7",
      "status": 200,
      "answer": "{\"data\":{\"url\":\"https://alteg.io/appstore/payment/?salon_id=1&sign=[hidden]\",\"echo\":\"[hidden]\",\"partner_token\":[hidden]}}",
      "duration_seconds": 0
    }
    "#);

    let body = json!({"meta": {"message": format!("token {TOKEN} is not good")}}).to_string();
    let (_, result, _) = send(http("401 Unauthorized", "", &body), &call).await;
    let error = result.expect_err("refused").to_string();
    assert_eq!(error, "the token was not accepted (401): token [hidden] is not good");
}

#[tokio::test]
async fn nobody_there_means_surely_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/", listener.local_addr().expect("an address"));
    drop(listener);
    let call = activation(&ActivationSettings::default());
    let (exchange, result) = client(&base, None).send(Permit::granted(), &call).await;
    assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
    assert_eq!(exchange.status, None);
    // A server that never answers the TLS greeting cannot have read the request either.
    let (base, _requests) = server(http("200 OK", "", "")).await;
    let base = base.replace("http:", "https:");
    let (_, result) = client(&base, None).send(Permit::granted(), &call).await;
    assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn a_lost_answer_is_unknown_for_a_change_and_a_fault_for_a_read() {
    let bad_days = [
        Answer::Stall(Vec::new()),
        Answer::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()),
        Answer::Raw(Vec::new()),
        Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()),
        Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        http("200 OK", "content-encoding: gzip\r\n", "{\"success\":true"),
        http("502 Bad Gateway", "content-type: text/html\r\n", "<html>"),
        Answer::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 9 * 1024 * 1024]].concat()),
    ];
    for (day, answer) in bad_days.into_iter().enumerate() {
        let started = Instant::now();
        let (_, change, _) = send(answer.clone(), &activation(&ActivationSettings::default())).await;
        assert!(matches!(change, Err(Error::Unknown { .. })), "{day}: {change:?}");
        let (_, read, _) = send(answer, &installation::status(PLACE)).await;
        assert!(matches!(read, Err(Error::Fault { .. })), "{day}: {read:?}");
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{day}: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let headers = "location: /elsewhere\r\n";
    let call = activation(&ActivationSettings::default());
    let (exchange, result, _) = send(http("301 Moved Permanently", headers, ""), &call).await;
    assert_eq!(exchange.status, Some(301));
    let error = result.expect_err("no success").to_string();
    assert!(
        error.contains("a redirect to /elsewhere, which is not followed"),
        "{error}"
    );
    let (_, result, _) = send(http("302 Found", headers, ""), &installation::status(PLACE)).await;
    assert!(
        matches!(result, Err(Error::Fault { status: Some(302), .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn slowing_down_has_a_time_when_one_was_told() {
    let call = installation::status(PLACE);
    let (_, result, _) = send(http("429 Too Many Requests", "retry-after: 3\r\n", "Too Many"), &call).await;
    let three = Some(Duration::from_secs(3));
    assert_eq!(result, Err(Error::Throttled { retry_after: three }));
    let (_, result, _) = send(http("429 Too Many Requests", "retry-after: soon\r\n", ""), &call).await;
    assert_eq!(result, Err(Error::Throttled { retry_after: None }));
}

#[test]
fn a_client_is_refused_what_cannot_be_sent() {
    let endpoint = |base: &str, token: &str| Endpoint {
        partner_base: base.parse().expect("a URL"),
        billing_base: base.parse().expect("a URL"),
        api_base: base.parse().expect("a URL"),
        accept: Brand::Yclients.accept().to_owned(),
        partner_token: token.into(),
        user_token: None,
        request_timeout: Duration::from_secs(1),
    };
    assert!(Client::new(endpoint("https://api.example.com/x", "token")).is_ok());
    for base in ["ftp://example.com/", "https://example.com/?a=b", "data:x"] {
        assert!(Client::new(endpoint(base, "token")).is_err(), "{base}");
    }
    let error = Client::new(endpoint("https://example.com/", "se\ncret"))
        .err()
        .expect("refused");
    assert!(!error.to_string().contains("cret"), "{error}");
}
