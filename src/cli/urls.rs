use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::{ConfigFile, output};
use crate::{
    app::served::{application_hook_url, calls_url},
    config::{Application, Config, value::Secret},
};

#[derive(Args)]
pub(super) struct Urls {
    #[command(flatten)]
    config: ConfigFile,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Urls {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        if self.json {
            let items: Vec<Value> = config.applications.iter().map(|one| as_json(&config, one)).collect();
            return output::tell(&json!({"items": items, "next_cursor": null}).to_string());
        }
        let texts: Vec<String> = config.applications.iter().map(|one| as_text(&config, one)).collect();
        output::tell(&texts.join("\n"))
    }
}

fn hook_secret(config: &Config) -> &str {
    config.security.hook_secret.as_ref().map_or("", Secret::expose)
}

fn as_json(config: &Config, application: &Application) -> Value {
    let (base, id) = (&config.server.public_url, application.id);
    let telephony = application.telephony.iter().map(|system| {
        let url = calls_url(base, hook_secret(config), id, &system.name);
        json!({"name": system.name, "location_id": system.location, "url": url})
    });
    json!({
        "application_id": id,
        "name": application.name,
        "redirect_url": format!("{base}/apps/{id}/connect"),
        "callback_url": format!("{base}/apps/{id}/callback"),
        "notification_url": application_hook_url(base, hook_secret(config), id),
        "telephony": telephony.collect::<Vec<Value>>(),
    })
}

fn as_text(config: &Config, application: &Application) -> String {
    let base = &config.server.public_url;
    let (id, name) = (application.id, &application.name);
    let notification = application_hook_url(base, hook_secret(config), id);
    let mut text = format!(
        "{name} ({id})
  Registration redirect URL   {base}/apps/{id}/connect
      the owner's browser comes here after Connect
  Callback URL                {base}/apps/{id}/callback
      uninstall, freeze and payment are told here
  Notification address        {notification}
      for a non-public application only: its entity events. Keep it secret.
      Of public applications Bellhop registers an address for each location itself.
"
    );
    for system in &application.telephony {
        let (name, location) = (&system.name, system.location);
        let url = calls_url(base, hook_secret(config), id, name);
        text.push_str(&format!(
            "  Telephony `{name}`
      {url}
      its telephony system tells here of the calls of location {location}. Keep it secret.
"
        ));
    }
    text
}
