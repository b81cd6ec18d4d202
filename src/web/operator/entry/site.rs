//! Keeps other web sites from using the browser of somebody who may be here.

use actix_web::{
    dev::ServiceRequest,
    http::header::{HOST, HeaderMap, ORIGIN},
};
use url::{Host, Url};

use super::changes;

/// Whether a request may be what it seems, or why not. `open`: nobody is asked for a token, so the name in the address
/// has to be one of this machine. Else the name of another site could be made to lead here, and its pages would be ours.
/// Nor may a proxy have passed it on: one that rewrites the name would make everybody an operator.
pub(crate) fn check(request: &ServiceRequest, open: bool) -> Result<(), &'static str> {
    let headers = request.headers();
    let host = text(headers, HOST.as_str()).unwrap_or_default();
    if open && !is_this_machine(host) {
        return Err(
            "Without operator.token this listener is for this machine: call it by localhost or 127.0.0.1, or set operator.token_file.",
        );
    }
    if open && headers.keys().any(|name| is_of_a_proxy(name.as_str())) {
        return Err("A proxy passed this request on. Behind a proxy operator.token_file has to be set.");
    }
    match changes(request.method()) {
        true if is_foreign(headers, host) => Err("This request was made by a page of another site."),
        false if is_embedding(headers) => Err("A page of another site may lead here, and not use what is here."),
        true | false => Ok(()),
    }
}

/// The same for metrics and probes, which are for everybody: where only this machine reaches the listener, no name of
/// another site leads there. Programs that name no host at all are no browsers.
pub(crate) fn check_probe(request: &ServiceRequest) -> Result<(), &'static str> {
    let is_local = request.app_config().local_addr().ip().is_loopback();
    let host = request.headers().get(HOST);
    let fits = host.is_none_or(|host| host.to_str().is_ok_and(is_this_machine));
    match is_local && !fits {
        true => Err("This listener is for this machine: call it by localhost or 127.0.0.1."),
        false => Ok(()),
    }
}

/// Whether proxies add such a header.
fn is_of_a_proxy(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip" | "via")
}

/// Whether another site wants to use an answer in a page of its own. Following a link is none of that.
fn is_embedding(headers: &HeaderMap) -> bool {
    let foreign = matches!(text(headers, "sec-fetch-site"), Some("cross-site" | "same-site"));
    foreign && text(headers, "sec-fetch-mode") != Some("navigate")
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
        }
    }

    #[test]
    fn another_site_may_lead_here_and_use_nothing() {
        for site in ["cross-site", "same-site"] {
            let asked = |mode: &str| {
                let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
                check(&sent(Method::GET, "bellhop.example", &headers), false)
            };
            assert_eq!(asked("navigate"), Ok(()));
            for mode in ["no-cors", "cors", "websocket", ""] {
                assert!(asked(mode).is_err(), "{site} {mode}");
            }
            let silent = sent(Method::GET, "bellhop.example", &[("sec-fetch-site", site)]);
            assert!(check(&silent, false).is_err(), "{site}");
        }
        let ours = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")];
        assert_eq!(check(&sent(Method::GET, "bellhop.example", &ours), false), Ok(()));
        let old = [("origin", "https://evil.example")];
        assert_eq!(check(&sent(Method::GET, "bellhop.example", &old), false), Ok(()));
    }

    #[test]
    fn an_open_listener_takes_nothing_from_a_proxy() {
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"] {
            let passed_on = sent(Method::GET, "localhost", &[(name, "")]);
            assert!(check(&passed_on, true).is_err(), "{name}");
            assert_eq!(check(&passed_on, false), Ok(()), "{name}");
        }
        assert_eq!(
            check(&sent(Method::GET, "localhost", &[("x-forward", "")]), true),
            Ok(())
        );
    }
}
