use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Result;
use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use super::{Misused, output, serve::stop_asked};
use crate::{
    sandbox::{Application, Brand, Delivery, Limits, Options, Sandbox as Marketplace, Tariff, TariffOption, Terms},
    telemetry::{self, Form},
};

#[derive(Args)]
pub(super) struct Sandbox {
    /// Address to listen on. The control API has no password: keep it on this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Address of the mailbox, an SMTP server that keeps what it gets.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8025")]
    mailbox: SocketAddr,
    /// The partner token of the played developer account.
    #[arg(long, value_name = "TOKEN", default_value = "sandbox-partner-token")]
    partner_token: String,
    /// Number of the application.
    #[arg(long, value_name = "NUMBER", default_value_t = 18_289)]
    application: i64,
    /// Your registration redirect URL [default: that of a Bellhop at http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    redirect_url: Option<String>,
    /// Your callback URL [default: that of a Bellhop at http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Length of the trial.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    trial_days: u32,
    /// Which brand is played.
    #[arg(long, value_enum, default_value_t = Played::Altegio)]
    brand: Played,
    /// Do not enforce the limits of 5 requests a second and 200 a minute.
    #[arg(long)]
    no_limits: bool,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    clocks: Clocks,
}

/// How entity events are sent. Documents and integrators disagree.
#[derive(Args)]
struct Sending {
    /// Seconds from a change to the first attempt.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    event_delay: f64,
    /// Seconds that one attempt may take: 10 in the server's code, 15 in the reference.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    attempt_timeout: f64,
    /// Further attempts after transport errors, 429 and 5xx: 2 in the server's code, none in the reference.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    retries: u32,
    /// Events without X-Hook-Id.
    #[arg(long)]
    no_hook_id: bool,
    /// Events wrapped in an array.
    #[arg(long)]
    arrays: bool,
}

/// How long the marketplace waits, and what else differs between its servers.
#[derive(Args)]
struct Clocks {
    /// Hours that a connection waits for its activation: 12 in the server's code, 1 in the support article.
    #[arg(long, value_name = "HOURS", default_value_t = 12)]
    pending_hours: u16,
    /// Hours from the end of a period to the freeze, at most 24.
    #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=24))]
    freeze_after_hours: u16,
    /// Webhook settings as older servers print them: not each address for itself.
    #[arg(long)]
    older_hook_settings: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("write 0 to 3600 seconds".to_owned())
    }
}

impl Sending {
    fn delivery(&self) -> Delivery {
        Delivery {
            delay: Duration::from_secs_f64(self.event_delay),
            attempt_timeout: Duration::from_secs_f64(self.attempt_timeout),
            retries: self.retries,
            hook_id: !self.no_hook_id,
            array: self.arrays,
            ..Delivery::default()
        }
    }
}

impl Clocks {
    fn terms(&self) -> Terms {
        Terms {
            activation_limit: TimeDelta::hours(self.pending_hours.into()),
            freeze_lag: TimeDelta::hours(self.freeze_after_hours.into()),
            hooks_told_apart: !self.older_hook_settings,
            ..Terms::default()
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Played {
    Altegio,
    Yclients,
}

/// A price list with one entry, so that payment links can be made.
pub(super) fn tariffs() -> Vec<Tariff> {
    let options = vec![TariffOption {
        id: 123,
        title: "Any team".to_owned(),
        ..TariffOption::default()
    }];
    vec![Tariff {
        id: 89,
        title: "1 month".to_owned(),
        options,
    }]
}

impl Sandbox {
    pub(super) async fn run(self) -> Result<ExitCode> {
        telemetry::start(Form::Text, "info,actix_server=warn");
        let brand = match self.brand {
            Played::Altegio => Brand::Altegio,
            Played::Yclients => Brand::Yclients,
        };
        let id = self.application;
        let ours = |door: &str| format!("http://127.0.0.1:8080/apps/{id}/{door}");
        let options = Options {
            listen: self.listen,
            mailbox: Some(self.mailbox),
            delivery: self.sending.delivery(),
            terms: self.clocks.terms(),
            limits: (!self.no_limits).then(Limits::default),
            applications: vec![Application {
                id,
                title: "Sandbox application".to_owned(),
                trial_days: self.trial_days,
                callback_url: self.callback_url.unwrap_or_else(|| ours("callback")),
                redirect_url: self.redirect_url.unwrap_or_else(|| ours("connect")),
                tariffs: tariffs(),
                ..Application::default()
            }],
            ..Options::new(self.partner_token.clone(), brand)
        };
        let sandbox = Marketplace::start(options)
            .await
            .map_err(|error| Misused(format!("{error:#}. Remedy: choose another --listen or --mailbox")))?;
        output::tell(&introduction(&sandbox, id, &self.partner_token))?;
        stop_asked().await?;
        sandbox.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// What to enter where, and what to try first.
fn introduction(sandbox: &Marketplace, application: i64, token: &str) -> String {
    let url = sandbox.url();
    let mailbox = sandbox.smtp_addr().map_or_else(String::new, |address| {
        format!("\n  A mailbox for [smtp] is at {address} (tls = \"none\"); read it at {url}/_sandbox/mails")
    });
    format!(
        "The sandbox marketplace listens on {url}
  For the [[account]] of a bellhop.toml:
    partner_token = \"{token}\"
    partner_base = \"{url}/marketplace\"
    api_base = \"{url}/api/v1\"
  The control API lists its verbs at {url}/_sandbox; for instance, an owner connects:
    curl -s {url}/_sandbox/connect -H 'Content-Type: application/json' \\
         -d '{{\"application_id\": {application}, \"location_ids\": [100001], \"follow\": true}}'{mailbox}
  Chats: [telegram] base = \"{url}/telegram\", a Slack webhook is {url}/slack/team; read both at {url}/_sandbox/chats
  Ctrl-C ends it."
    )
}
