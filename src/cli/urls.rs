use std::process::ExitCode;

use anyhow::Result;

use super::{ConfigFile, output};
use crate::{
    app::served::{application_hook_url, calls_url},
    config::value::Secret,
};

pub(super) fn run(config: &ConfigFile) -> Result<ExitCode> {
    let config = config.load()?;
    let base = &config.server.public_url;
    let hook_secret = config.security.hook_secret.as_ref().map_or("", Secret::expose);
    let applications = config.applications.iter().map(|application| {
        let (id, name) = (application.id, &application.name);
        let notification = application_hook_url(base, hook_secret, id);
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
            let url = calls_url(base, hook_secret, id, name);
            text.push_str(&format!(
                "  Telephony `{name}`
      {url}
      its telephony system tells here of the calls of location {location}. Keep it secret.
"
            ));
        }
        text
    });
    output::tell(&applications.collect::<Vec<String>>().join("\n"))
}
