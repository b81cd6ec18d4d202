use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{Misused, serve::stop_asked};
use crate::{
    sandbox::{Application, Brand, Limits, Options, Sandbox as Marketplace, Tariff, TariffOption},
    telemetry::{self, Form},
};

#[derive(Args)]
pub(super) struct Sandbox {
    /// Address to listen on. The control API has no password: keep it on this machine.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Address of the mailbox, an SMTP server that keeps what it gets.
    #[arg(long, default_value = "127.0.0.1:8025")]
    mailbox: SocketAddr,
    /// The partner token of the played developer account.
    #[arg(long, default_value = "sandbox-partner-token")]
    partner_token: String,
    /// Number of the application.
    #[arg(long, default_value_t = 18_289)]
    application: i64,
    /// Your registration redirect URL.
    #[arg(long, default_value = "http://127.0.0.1:8080/apps/18289/connect")]
    redirect_url: String,
    /// Your callback URL.
    #[arg(long, default_value = "http://127.0.0.1:8080/apps/18289/callback")]
    callback_url: String,
    /// Length of the trial.
    #[arg(long, default_value_t = 14)]
    trial_days: u32,
    /// Which brand is played.
    #[arg(long, value_enum, default_value_t = Played::Altegio)]
    brand: Played,
    /// Do not enforce the limits of 5 requests a second and 200 a minute.
    #[arg(long)]
    no_limits: bool,
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
        let options = Options {
            listen: self.listen,
            mailbox: Some(self.mailbox),
            limits: (!self.no_limits).then(Limits::default),
            applications: vec![Application {
                id: self.application,
                title: "Sandbox application".to_owned(),
                trial_days: self.trial_days,
                callback_url: self.callback_url,
                redirect_url: self.redirect_url,
                tariffs: tariffs(),
                ..Application::default()
            }],
            ..Options::new(self.partner_token, brand)
        };
        let sandbox = Marketplace::start(options)
            .await
            .map_err(|error| Misused(format!("{error:#}")))?;
        let url = sandbox.url();
        println!("The sandbox marketplace listens on {url}");
        println!("  partner_base = \"{url}/marketplace\"   api_base = \"{url}/api/v1\"");
        println!("  control API: {url}/_sandbox lists its verbs; for instance");
        println!("  curl -s {url}/_sandbox/connect -H 'Content-Type: application/json' \\");
        println!(
            "       -d '{{\"application_id\": {}, \"location_ids\": [100001], \"follow\": true}}'",
            self.application
        );
        println!("  mailbox: smtp://{}, read it at {url}/_sandbox/mails", self.mailbox);
        stop_asked().await?;
        sandbox.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}
