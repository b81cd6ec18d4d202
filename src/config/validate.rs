use std::collections::BTreeSet;

use super::{Config, value};

/// What cannot work together, each with its remedy.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    listeners(config, &mut problems);
    timings(config, &mut problems);
    accounts(config, &mut problems);
    applications(config, &mut problems);
    problems
}

fn listeners(config: &Config, problems: &mut Vec<String>) {
    if !config.operator.listen.ip().is_loopback() && config.operator.token.is_none() {
        problems.push(format!(
            "operator.listen = \"{}\" is reachable from elsewhere, and operator.token is not set. \
             Remedy: set operator.token_file, or listen on 127.0.0.1",
            config.operator.listen
        ));
    }
    if config.server.listen == config.operator.listen && config.server.listen.port() != 0 {
        problems.push("server.listen and operator.listen are the same address. Remedy: give them two ports".into());
    }
    let url = &config.server.public_url;
    match url::Url::parse(url) {
        _ if url.is_empty() => problems.push(
            "server.public_url is not set. Remedy: the address by which the marketplace reaches this service, \
             such as \"https://hooks.example.com\""
                .into(),
        ),
        Ok(parsed) if parsed.scheme() == "https" || is_loopback(&parsed) => {}
        Ok(parsed) if parsed.scheme() == "http" => problems.push(format!(
            "server.public_url = \"{url}\" is not https, and the marketplace delivers to https only. Remedy: the https address"
        )),
        _ => problems.push(format!("server.public_url = \"{url}\" is no web address")),
    }
    if url.ends_with('/') {
        problems.push("server.public_url ends with a slash. Remedy: take it away".into());
    }
    match &config.security.hook_secret {
        None => problems.push(
            "security.hook_secret is not set. Remedy: security.hook_secret_file with a random text, \
             for instance from `openssl rand -hex 32`; keep it: the webhook addresses are made from it"
                .into(),
        ),
        Some(secret) if secret.expose().len() < 16 => {
            problems.push("security.hook_secret is shorter than 16 characters. Remedy: a longer random text".into());
        }
        Some(_) => {}
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn timings(config: &Config, problems: &mut Vec<String>) {
    let deadline = config.server.ack_deadline;
    if deadline.is_zero() || deadline >= value::seconds(10) {
        problems
            .push("server.ack_deadline must lie between 1ms and 10s: the marketplace gives up after 10 seconds".into());
    }
    if config.jobs.lease < value::seconds(3) {
        problems.push("jobs.lease must be at least 3s: it is renewed three times in its length".into());
    }
    for (key, number) in [
        ("jobs.concurrency", config.jobs.concurrency),
        ("intake.queue", config.intake.queue),
        ("server.threads", config.server.threads),
        ("server.body_limit", config.server.body_limit),
    ] {
        if number == 0 {
            problems.push(format!("{key} must be at least 1"));
        }
    }
    if config.database.connections < 4 {
        problems.push("database.connections must be at least 4: intake, workers and reading need one each".into());
    }
    if config.jobs.max_attempts < 1 {
        problems.push("jobs.max_attempts must be at least 1".into());
    }
    if config.activation.safe > config.activation.limit {
        problems.push("activation.safe is later than activation.limit. Remedy: the safe deadline comes first".into());
    }
    if config.retention.events < config.intake.duplicate_window {
        problems.push(
            "retention.events is shorter than intake.duplicate_window. Remedy: keep events at least as long".into(),
        );
    }
}

fn accounts(config: &Config, problems: &mut Vec<String>) {
    if config.accounts.is_empty() {
        problems.push("there is no [[account]]. Remedy: one for your developer account, with its partner token".into());
    }
    let mut names = BTreeSet::new();
    for account in &config.accounts {
        let name = &account.name;
        if !names.insert(name) {
            problems.push(format!("two accounts are called `{name}`"));
        }
        match &account.partner_token {
            None => problems.push(format!(
                "account `{name}`: partner_token is not set. Remedy: partner_token_file"
            )),
            Some(token) if token.expose().len() < 8 => {
                problems.push(format!(
                    "account `{name}`: partner_token is shorter than 8 characters: it cannot be real"
                ));
            }
            Some(_) => {}
        }
        for (key, base) in [
            ("partner_base", &account.partner_base),
            ("billing_base", &account.billing_base),
            ("api_base", &account.api_base),
        ] {
            if let Some(base) = base
                && (url::Url::parse(base).is_err() || base.ends_with('/'))
            {
                problems.push(format!(
                    "account `{name}`: {key} = \"{base}\" must be a web address without a slash at the end"
                ));
            }
        }
        if account.requests_per_second == 0 || account.requests_per_minute == 0 {
            problems.push(format!(
                "account `{name}`: requests_per_second and requests_per_minute must be at least 1"
            ));
        }
        if account.request_timeout.is_zero() || account.request_timeout > value::minutes(5) {
            problems.push(format!("account `{name}`: request_timeout must lie between 1ms and 5m"));
        }
    }
}

fn applications(config: &Config, problems: &mut Vec<String>) {
    if config.applications.is_empty() {
        problems.push("there is no [[application]]. Remedy: one with its number from the developer cabinet".into());
    }
    let mut ids = BTreeSet::new();
    for application in &config.applications {
        let id = application.id;
        if id.0 <= 0 {
            problems.push(format!(
                "application {id}: the id must be the positive number from the developer cabinet"
            ));
        }
        if !ids.insert(id) {
            problems.push(format!("application {id} is there twice"));
        }
        if !config
            .accounts
            .iter()
            .any(|account| account.name == application.account)
        {
            let names: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
            problems.push(format!(
                "application {id}: there is no account `{}`. Remedy: one of: {}",
                application.account,
                names.join(", ")
            ));
        }
        if let Some(url) = &application.continue_url
            && url::Url::parse(&url.replace("{location_id}", "1")).is_err()
        {
            problems.push(format!("application {id}: continue_url = \"{url}\" is no web address"));
        }
    }
}
