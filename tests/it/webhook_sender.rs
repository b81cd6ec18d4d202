//! Signed webhooks against a real socket.

use std::time::Duration;

use bellhop::notify::{
    error::Error,
    http::Http,
    webhook::{Secret, SignedRequest, WebhookSender},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = r#"{"type":"installation.activated"}"#;

/// Sends one webhook to a server that gives this answer (none: stays silent); returns what came of
/// it and what the server read.
async fn deliver(answer: Option<&'static str>) -> (Result<u16, Error>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/in?a=b", listener.local_addr().expect("an address"));
    let receiver = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        while !bytes.ends_with(BODY.as_bytes()) {
            socket.read_buf(&mut bytes).await.expect("bytes");
        }
        match answer {
            Some(answer) => socket.write_all(answer.as_bytes()).await.expect("written"),
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
        String::from_utf8(bytes).expect("text")
    });
    let secrets = [Secret::parse(SECRET).expect("a secret")];
    let request = SignedRequest {
        url: &url,
        id: "job-17",
        timestamp: chrono::Utc::now(),
        body: BODY,
        secrets: &secrets,
    };
    let sender = WebhookSender::new(Http::new(Duration::from_millis(300)).expect("clients"));
    let result = sender.send(&request).await.map(|answer| answer.status);
    (result, receiver.await.expect("a request"))
}

#[tokio::test]
async fn the_receiver_can_verify_what_it_reads() {
    let (result, request) = deliver(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(result, Ok(204));
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /in?a=b HTTP/1.1\r\n"), "{head}");
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
    };
    let headers: HeaderMap = head.lines().filter_map(header).collect();
    assert_eq!(headers["webhook-id"], "job-17");
    assert_eq!(headers["content-type"], "application/json");
    let other = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    other.verify(body.as_bytes(), &headers).expect("a good signature");
}

#[tokio::test]
async fn redirects_are_refused_and_silence_is_for_later() {
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (result, _) = deliver(Some(moved)).await;
    assert!(matches!(result, Err(Error::Permanent { .. })), "{result:?}");
    let (result, _) = deliver(None).await;
    assert!(
        matches!(result, Err(Error::Transient { answer: None, .. })),
        "{result:?}"
    );
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy";
    let (result, _) = deliver(Some(busy)).await;
    let Err(Error::Transient {
        retry_after,
        answer: Some(answer),
        ..
    }) = result
    else {
        panic!("{result:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    assert_eq!((answer.status, answer.answer.as_str()), (503, "busy"));
}
