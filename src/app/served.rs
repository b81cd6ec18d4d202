use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, anyhow};
use secrecy::SecretString;
use tokio::sync::Mutex;
use url::Url;

use super::circuit::Circuit;
use crate::{
    config::{self, Account, Application, Config, Problems, value::Secret},
    domain::{
        action::Action,
        ids::{ApplicationId, LocationId, Place},
        moment::Moment,
        signature::{application_hook_key, calls_key, hook_key},
        span,
    },
    marketplace::client::{Client, Endpoint},
    rules::{ApplicationView, Rule, RuleSet, SourceFile},
    store::budget::Limits,
};

/// An application as this process serves it.
pub struct Served {
    /// Its number.
    pub id: ApplicationId,
    /// Its configuration.
    pub config: Application,
    /// The account it belongs to.
    pub account: Account,
    /// As rules see it.
    pub view: ApplicationView,
    /// Its way to the marketplace.
    pub client: Client,
    /// Whether its account's side of the marketplace answers; shared by the account's applications.
    pub circuit: Arc<Circuit>,
    /// Whose request budget it spends: the marketplace's host.
    pub budget_scope: String,
    /// How large that budget is.
    pub limits: Limits,
    /// Who learns what countries there are: one connection after the other, so that the first of many reads for all.
    pub learning: Mutex<()>,
}

impl Served {
    /// The credential of the marketplace API.
    pub fn partner_token(&self) -> &str {
        self.account.partner_token.as_ref().map_or("", Secret::expose)
    }

    /// What callbacks may carry: that credential, and while it changes over the one before.
    pub fn partner_tokens(&self) -> impl Iterator<Item = &str> {
        let account = &self.account;
        let tokens = [&account.partner_token, &account.partner_token_previous];
        tokens.into_iter().flatten().map(Secret::expose)
    }

    /// The keys of the marketplace's signatures: the partner tokens, unless the account has keys of their own.
    pub fn signature_keys(&self) -> impl Iterator<Item = &str> {
        let account = &self.account;
        let own = [&account.signature_key, &account.signature_key_previous];
        let has_own = account.signature_key.is_some();
        let tokens = self.partner_tokens().filter(move |_| !has_own);
        own.into_iter().flatten().map(Secret::expose).chain(tokens)
    }

    /// Where an owner goes on.
    pub fn continue_url(&self, location: LocationId) -> Option<String> {
        let url = self.config.continue_url.as_ref()?;
        Some(url.replace("{location_id}", &location.to_string()))
    }
}

/// The webhook address of a location.
pub fn hook_url(public_url: &str, hook_secret: &str, place: Place) -> String {
    let key = hook_key(hook_secret, place);
    format!(
        "{public_url}/apps/{}/hooks/{}/{key}",
        place.application_id, place.location_id
    )
}

/// The one webhook address of a non-public application.
pub fn application_hook_url(public_url: &str, hook_secret: &str, id: ApplicationId) -> String {
    format!("{public_url}/apps/{id}/hooks/{}", application_hook_key(hook_secret, id))
}

/// The address where a telephony system of an application tells of calls.
pub fn calls_url(public_url: &str, hook_secret: &str, id: ApplicationId, name: &str) -> String {
    format!("{public_url}/apps/{id}/calls/{}", calls_key(hook_secret, id, name))
}

/// The rules of each application.
///
/// # Errors
/// With every mistake in the rule files, each once: applications often share their files.
pub fn rule_sets(config: &Config) -> Result<Vec<(ApplicationId, RuleSet)>, Problems> {
    let mut mistakes = Vec::new();
    let mut sets = Vec::new();
    for application in &config.applications {
        match rules(config, application) {
            Ok(set) => sets.push((application.id, set)),
            Err(Problems(found)) => mistakes.extend(found),
        }
    }
    let mut told = HashSet::new();
    mistakes.retain(|mistake| told.insert(mistake.clone()));
    if mistakes.is_empty() {
        Ok(sets)
    } else {
        Err(Problems(mistakes))
    }
}

/// All applications of a configuration.
pub(super) fn all(config: &Config) -> Result<BTreeMap<ApplicationId, Served>> {
    let mut problems = Vec::new();
    let mut served = BTreeMap::new();
    let mut circuits: BTreeMap<String, Arc<Circuit>> = BTreeMap::new();
    for application in &config.applications {
        let circuit = circuits.entry(config.account_of(application).name.clone());
        let circuit = circuit.or_insert_with(|| Arc::new(Circuit::new(config.jobs.backoff)));
        match one(config, application, Arc::clone(circuit)) {
            Ok(one) => drop(served.insert(application.id, one)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() {
        Ok(served)
    } else {
        Err(anyhow!("{}", problems.join("\n")))
    }
}

fn one(config: &Config, application: &Application, circuit: Arc<Circuit>) -> Result<Served> {
    let account = config.account_of(application).clone();
    let endpoint = endpoint(&account, application)?;
    let budget_scope = endpoint.partner_base.host_str().unwrap_or("marketplace").to_owned();
    let limits = Limits {
        per_second: account.requests_per_second,
        per_minute: account.requests_per_minute,
    };
    Ok(Served {
        id: application.id,
        view: ApplicationView {
            id: application.id,
            name: application.name.clone(),
        },
        client: Client::new(endpoint)?,
        circuit,
        config: application.clone(),
        account,
        budget_scope,
        limits,
        learning: Mutex::default(),
    })
}

fn rules(config: &Config, application: &Application) -> Result<RuleSet, Problems> {
    let files: Vec<SourceFile> = config
        .rule_files(application)?
        .into_iter()
        .map(|config::RuleFile { name, text }| SourceFile { name, text })
        .collect();
    let set = RuleSet::load(&files, &|path| config.secret_file(path).map(Some))
        .map_err(|mistakes| Problems(mistakes.iter().map(ToString::to_string).collect()))?;
    let kept = config.retention.events;
    let outlasting = set.rules().iter().filter_map(|rule| outlasts(rule, kept));
    let unheard = set.rules().iter().filter_map(|rule| unheard(rule, kept));
    let too_long: Vec<String> = outlasting.chain(unheard).collect();
    if too_long.is_empty() {
        Ok(set)
    } else {
        Err(Problems(too_long))
    }
}

/// A step needs the event its rule fired for.
fn outlasts(rule: &Rule, kept: Duration) -> Option<String> {
    let waits: Duration = rule.steps.iter().filter_map(|step| step.after).sum();
    let tried = rule.steps.iter().find_map(|step| match &step.action {
        Action::ForwardEvent { retry_for_seconds, .. } => Some(Duration::from_secs(*retry_for_seconds)),
        _ => None,
    });
    let (what, remedy, wanted) = match tried {
        Some(tried) => ("are tried for", "shorten `retry_for`", tried),
        None => ("wait together for", "shorten the waits", waits),
    };
    (wanted >= kept).then(|| {
        let (file, line, name) = (&rule.file, rule.line, &rule.name);
        let (wanted, kept) = (span::show(wanted), span::show(kept));
        format!(
            "{file}:{line}: the steps of `{name}` {what} {wanted}, and events are kept for {kept}; \
             {remedy}, or raise retention.events"
        )
    })
}

/// Silence is told by the events that are stored.
fn unheard(rule: &Rule, kept: Duration) -> Option<String> {
    match rule.trigger.moment() {
        Some(Moment::Silence { lasting }) if *lasting > kept => Some(format!(
            "{}:{}: `{}` waits for a silence of {}, and events are kept for {}; wait for less, or raise retention.events",
            rule.file,
            rule.line,
            rule.name,
            span::show(*lasting),
            span::show(kept)
        )),
        Some(_) | None => None,
    }
}

fn endpoint(account: &Account, application: &Application) -> Result<Endpoint> {
    let brand = account.brand;
    let secret = |secret: &Secret| SecretString::from(secret.expose());
    let partner_base = account.partner_base.as_deref().unwrap_or(brand.partner_base());
    Ok(Endpoint {
        partner_base: Url::parse(partner_base)?,
        billing_base: Url::parse(account.billing_base.as_deref().unwrap_or(partner_base))?,
        api_base: Url::parse(account.api_base.as_deref().unwrap_or(brand.api_base()))?,
        accept: account.accept.as_deref().unwrap_or(brand.accept()).to_owned(),
        partner_token: account.partner_token.as_ref().map(secret).unwrap_or_default(),
        user_token: application.user_token.as_ref().map(secret),
        request_timeout: account.request_timeout,
    })
}
