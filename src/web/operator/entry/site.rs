//! Keeps other web sites from using the browser of somebody who may be here.

use actix_web::{
    dev::ServiceRequest,
    http::header::{HOST, HeaderMap, ORIGIN},
};
use url::{Host, Url};

use super::changes;

/// Whether a request may be what it seems, or why not. `open`: nobody is asked for a token, so the name in the address
/// has to be one of this machine. Else the name of another site could be made to lead here, and its pages would be ours.
pub(crate) fn check(request: &ServiceRequest, open: bool) -> Result<(), &'static str> {
    let headers = request.headers();
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    if open && !is_this_machine(host) {
        return Err(
            "Without operator.token this listener is for this machine: call it by localhost or 127.0.0.1, or set operator.token_file.",
        );
    }
    if changes(request.method()) && is_foreign(headers, host) {
        return Err("This request was made by a page of another site.");
    }
    Ok(())
}

/// Whether a browser says that another site made this request. Programs that are no browsers say nothing.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    // It cannot be set by a page, and knows the address that the browser sees, whatever proxies are between.
    if let Some(site) = text(headers, "sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    match text(headers, ORIGIN.as_str()) {
        Some(origin) => origin.split_once("://").is_none_or(|(_, from)| from != host),
        None => false,
    }
}

/// Whether the browser speaks TLS: with us, or with the proxy in front of us.
pub(crate) fn is_protected(headers: &HeaderMap) -> bool {
    let forwarded = text(headers, "x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    forwarded || text(headers, ORIGIN.as_str()).is_some_and(|origin| origin.starts_with("https://"))
}

/// Whether `Host` names this machine, with any port.
fn is_this_machine(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}")) else {
        return false;
    };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::{http::Method, test::TestRequest};

    use super::*;

    fn sent(method: Method, host: &str, more: &[(&'static str, &str)]) -> ServiceRequest {
        let request = TestRequest::default().method(method).insert_header((HOST, host));
        let request = more
            .iter()
            .fold(request, |request, header| request.insert_header(*header));
        request.to_srv_request()
    }

    #[test]
    fn an_open_listener_is_called_by_names_of_this_machine() {
        for host in [
            "localhost",
            "localhost:9090",
            "127.0.0.1:9090",
            "127.9.9.9",
            "[::1]:9090",
            "LOCALHOST:1",
        ] {
            assert_eq!(check(&sent(Method::GET, host, &[]), true), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "x@y",
        ] {
            assert!(check(&sent(Method::GET, host, &[]), true).is_err(), "{host}");
            assert_eq!(check(&sent(Method::GET, host, &[]), false), Ok(()), "{host}");
        }
    }

    #[test]
    fn what_another_site_asks_for_changes_nothing() {
        let home = "bellhop.example:9090";
        let fine: [&[(&str, &str)]; 5] = [
            &[],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://console.example")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://bellhop.example:9090")],
        ];
        for headers in fine {
            assert_eq!(check(&sent(Method::POST, home, headers), false), Ok(()), "{headers:?}");
        }
        let foreign: [&[(&str, &str)]; 6] = [
            &[("sec-fetch-site", "cross-site")],
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://bellhop.example:9090"),
            ],
            &[("origin", "https://evil.example")],
            &[("origin", "https://bellhop.example")],
            &[("origin", "null")],
            &[("origin", "")],
        ];
        for headers in foreign {
            assert!(check(&sent(Method::POST, home, headers), false).is_err(), "{headers:?}");
            assert_eq!(check(&sent(Method::GET, home, headers), false), Ok(()), "{headers:?}");
        }
    }
}
