mod listeners;
mod messages;

use std::{collections::BTreeSet, time::Duration};

use url::Url;

use super::{Account, Application, Config, place::Notes, value};

/// Notes what cannot work together, each with its remedy. That secrets' files can be read was noted before.
pub(super) fn check(config: &Config, notes: &mut Notes<'_>) {
    listeners::check(config, notes);
    public_url(&config.server.public_url, notes);
    database(config, notes);
    hook_secret(config, notes);
    amounts(config, notes);
    spool(config, notes);
    timings(config, notes);
    messages::check(config, notes);
    accounts(config, notes);
    applications(config, notes);
}

fn public_url(url: &str, notes: &mut Notes<'_>) {
    let mut wrong = |what: &str| notes.at("server.public_url", what);
    match Url::parse(url) {
        _ if url.is_empty() => wrong(
            "server.public_url is not set. Remedy: the address by which the marketplace reaches this service, \
             such as \"https://hooks.example.com\"",
        ),
        Ok(parsed) if parsed.query().is_some() || parsed.fragment().is_some() => wrong(&format!(
            "server.public_url = \"{url}\" has something after the path. Remedy: end it before `?` and `#`"
        )),
        Ok(parsed) if parsed.scheme() == "https" || is_loopback(&parsed) => {}
        Ok(parsed) if parsed.scheme() == "http" => wrong(&format!(
            "server.public_url = \"{url}\" is not https, and the marketplace delivers to https only. Remedy: the https address"
        )),
        _ => wrong(&format!(
            "server.public_url = \"{url}\" is no web address. Remedy: one such as \"https://hooks.example.com\""
        )),
    }
    if url.ends_with('/') {
        wrong("server.public_url ends with a slash. Remedy: take it away");
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

/// The address holds a password, so it is not repeated.
fn database(config: &Config, notes: &mut Notes<'_>) {
    let Some(url) = &config.database.url else { return };
    let remedy = "Remedy: postgres://user:password@host:5432/name, or no database.url for a private PostgreSQL";
    let scheme = url.expose().split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("postgres" | "postgresql") if Url::parse(url.expose()).is_ok() => {}
        // It is shown only where it can hold no secret.
        Some(other @ ("mysql" | "mariadb" | "sqlite" | "mssql" | "http" | "https" | "jdbc:postgresql")) => notes.at(
            "database.url",
            format!("database.url begins with `{other}://`, and Bellhop needs PostgreSQL. {remedy}"),
        ),
        Some(_) | None => notes.at(
            "database.url",
            format!("database.url is no PostgreSQL address. {remedy}"),
        ),
    }
}

fn hook_secret(config: &Config, notes: &mut Notes<'_>) {
    let security = &config.security;
    if security.hook_secret.is_none() && security.hook_secret_file.is_none() {
        notes.at(
            "security.hook_secret",
            "security.hook_secret is not set. Remedy: security.hook_secret_file with a random text, \
             for instance from `openssl rand -hex 32`; keep it: the webhook addresses are made from it",
        );
    }
    for (key, secret) in [
        ("security.hook_secret", &security.hook_secret),
        ("security.hook_secret_previous", &security.hook_secret_previous),
    ] {
        if secret.as_ref().is_some_and(|secret| secret.expose().len() < 16) {
            notes.at(
                key,
                format!("{key} is shorter than 16 characters. Remedy: a longer random text"),
            );
        }
    }
}

fn amounts(config: &Config, notes: &mut Notes<'_>) {
    for (key, number) in [
        ("jobs.concurrency", config.jobs.concurrency),
        ("jobs.forwarding", config.jobs.forwarding),
        ("intake.queue", config.intake.queue),
        ("server.threads", config.server.threads),
        ("server.body_limit", config.server.body_limit),
        ("server.connections", config.server.connections),
        (
            "jobs.max_attempts",
            usize::try_from(config.jobs.max_attempts).unwrap_or(0),
        ),
    ] {
        if number == 0 {
            notes.at(key, format!("{key} must be at least 1"));
        }
    }
    if config.database.connections < 4 {
        notes.at(
            "database.connections",
            "database.connections must be at least 4: intake, workers and reading need one each",
        );
    }
}

/// That the disk has room is asked when the spool is opened.
fn spool(config: &Config, notes: &mut Notes<'_>) {
    let (spool, largest) = (&config.spool, config.server.body_limit as u64);
    if spool.enabled && spool.limit / 16 < largest {
        notes.at(
            "spool.limit",
            format!(
                "spool.limit = \"{}\" is less than 16 bodies of server.body_limit = {largest}. \
                 Remedy: a larger limit, or spool.enabled = false",
                value::write_bytes(spool.limit)
            ),
        );
    }
}

fn timings(config: &Config, notes: &mut Notes<'_>) {
    let (server, jobs, activation) = (&config.server, &config.jobs, &config.activation);
    let mut must = |fine: bool, key: &str, what: &str| {
        if !fine {
            notes.at(key, what);
        }
    };
    must(
        !server.ack_deadline.is_zero() && server.ack_deadline < value::seconds(10),
        "server.ack_deadline",
        "server.ack_deadline must lie between 1ms and 10s: the marketplace gives up after 10 seconds",
    );
    must(
        server.shutdown_grace >= value::seconds(1),
        "server.shutdown_grace",
        "server.shutdown_grace must be at least 1s. Remedy: a little less than the supervisor waits before it kills",
    );
    must(
        server.drain_delay < server.shutdown_grace,
        "server.drain_delay",
        "server.drain_delay is not shorter than server.shutdown_grace, of which it is a part. \
         Remedy: shorten it, or lengthen server.shutdown_grace (and the time after which your supervisor kills)",
    );
    must(
        server.keep_alive >= value::seconds(1) && server.keep_alive <= value::minutes(60),
        "server.keep_alive",
        "server.keep_alive must lie between 1s and 1h. Remedy: a little more than your proxy keeps idle connections",
    );
    must(
        server.connections >= server.threads.saturating_mul(8),
        "server.connections",
        "server.connections is less than 8 for each of server.threads. Remedy: more connections, or fewer threads",
    );
    must(
        jobs.lease >= value::seconds(3),
        "jobs.lease",
        "jobs.lease must be at least 3s: it is renewed three times in its length",
    );
    must(
        !jobs.poll.is_zero() && jobs.poll <= value::minutes(1),
        "jobs.poll",
        "jobs.poll must lie between 1ms and 1m: it is how late a job may be noticed",
    );
    must(
        !jobs.backoff.is_zero() && jobs.backoff <= jobs.backoff_limit,
        "jobs.backoff",
        "jobs.backoff must lie between 1ms and jobs.backoff_limit: the first wait is not the longest",
    );
    must(
        activation.safe <= activation.limit,
        "activation.safe",
        "activation.safe is later than activation.limit. Remedy: the safe deadline comes first",
    );
    retention(config, &mut must);
    must(
        config.reconcile.share > 0.0 && config.reconcile.share <= 1.0,
        "reconcile.share",
        "reconcile.share is the part of the requests that comparing may use. Remedy: a number above 0 and at most 1, such as 0.3",
    );
    must(
        config.reconcile.interval >= Duration::from_secs(1)
            && config.reconcile.hooks_interval >= Duration::from_secs(60),
        "reconcile.interval",
        "reconcile.interval must be at least 1s, reconcile.hooks_interval at least 1m. Remedy: \"10m\" and \"1d\"",
    );
}

fn retention(config: &Config, must: &mut impl FnMut(bool, &str, &str)) {
    let (kept, window) = (&config.retention, config.intake.duplicate_window);
    must(
        kept.events >= window,
        "retention.events",
        "retention.events is shorter than intake.duplicate_window. Remedy: keep events at least as long",
    );
    must(
        kept.firings >= window,
        "retention.firings",
        "retention.firings is shorter than intake.duplicate_window, so a rule could fire twice. Remedy: keep them at least as long",
    );
    for (key, period) in [
        ("retention.events", kept.events),
        ("retention.jobs", kept.jobs),
        ("retention.firings", kept.firings),
        ("retention.history", kept.history),
        ("retention.uninstalled", kept.uninstalled),
    ] {
        must(
            period >= value::days(1),
            key,
            &format!("{key} must be at least 1d: what is younger may still be under way"),
        );
    }
}

fn accounts(config: &Config, notes: &mut Notes<'_>) {
    if config.accounts.is_empty() {
        notes.at(
            "account",
            "there is no [[account]]. Remedy: one for your developer account, with its partner token",
        );
    }
    let mut names = BTreeSet::new();
    for (index, account) in config.accounts.iter().enumerate() {
        let name = &account.name;
        let mut wrong =
            |key: &str, what: String| notes.at(&format!("account.{index}.{key}"), format!("account `{name}`: {what}"));
        if !names.insert(name) {
            wrong(
                "name",
                "there is another account of this name. Remedy: another name".into(),
            );
        }
        one_account(account, config.jobs.lease, &mut wrong);
    }
}

fn one_account(account: &Account, lease: Duration, wrong: &mut impl FnMut(&str, String)) {
    if account.partner_token.is_none() && account.partner_token_file.is_none() {
        wrong(
            "partner_token",
            "partner_token is not set. Remedy: partner_token_file".into(),
        );
    }
    for (key, token) in [
        ("partner_token", &account.partner_token),
        ("partner_token_previous", &account.partner_token_previous),
        ("signature_key", &account.signature_key),
        ("signature_key_previous", &account.signature_key_previous),
    ] {
        if token.as_ref().is_some_and(|token| token.expose().len() < 8) {
            let what = "is shorter than 8 characters: it cannot be real. Remedy: the one of the cabinet";
            wrong(key, format!("{key} {what}"));
        }
    }
    for (key, base) in [
        ("partner_base", &account.partner_base),
        ("billing_base", &account.billing_base),
        ("api_base", &account.api_base),
    ] {
        if let Some(base) = base
            && (!is_web_address(base) || base.ends_with('/'))
        {
            wrong(
                key,
                format!("{key} = \"{base}\" must be a web address without a slash at the end"),
            );
        }
    }
    for (key, number) in [
        ("requests_per_second", account.requests_per_second),
        ("requests_per_minute", account.requests_per_minute),
    ] {
        if number == 0 {
            wrong(key, format!("{key} must be at least 1"));
        }
    }
    if account.request_timeout.is_zero() || account.request_timeout > value::minutes(5) {
        wrong("request_timeout", "request_timeout must lie between 1ms and 5m".into());
    } else if account.request_timeout >= lease {
        wrong(
            "request_timeout",
            "request_timeout is not shorter than jobs.lease, so a request could be under way when another worker \
             begins the same job. Remedy: shorten it, or lengthen jobs.lease"
                .into(),
        );
    }
}

fn applications(config: &Config, notes: &mut Notes<'_>) {
    if config.applications.is_empty() {
        notes.at(
            "application",
            "there is no [[application]]. Remedy: one with its number from the developer cabinet",
        );
    }
    let mut ids = BTreeSet::new();
    for (index, application) in config.applications.iter().enumerate() {
        let id = application.id;
        let mut wrong = |key: &str, what: String| {
            notes.at(
                &format!("application.{index}.{key}"),
                format!("application {id}: {what}"),
            )
        };
        if !ids.insert(id) {
            wrong("id", "it is there twice. Remedy: take one out".into());
        }
        one_application(config, application, &mut wrong);
    }
}

fn one_application(config: &Config, application: &Application, wrong: &mut impl FnMut(&str, String)) {
    if application.id.0 <= 0 {
        wrong(
            "id",
            "the id must be the positive number from the developer cabinet".into(),
        );
    }
    let names: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    if !names.is_empty() && !names.contains(&application.account.as_str()) {
        let (account, names) = (&application.account, names.join(", "));
        wrong(
            "account",
            format!("there is no account `{account}`. Remedy: one of: {names}"),
        );
    }
    if let Some(url) = &application.continue_url
        && !is_web_address(&url.replace("{location_id}", "1"))
    {
        wrong(
            "continue_url",
            format!(
                "continue_url = \"{url}\" is no web address. Remedy: one such as \"https://app.example.com/{{location_id}}\""
            ),
        );
    }
}
