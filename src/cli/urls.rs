use std::process::ExitCode;

use anyhow::Result;

use super::ConfigFile;
use crate::{app::served::application_hook_url, config::value::Secret};

pub(super) fn run(config: &ConfigFile) -> Result<ExitCode> {
    let config = config.load()?;
    let base = &config.server.public_url;
    let hook_secret = config.security.hook_secret.as_ref().map_or("", Secret::expose);
    for application in &config.applications {
        let id = application.id;
        println!("{} ({id})", application.name);
        println!("  Registration redirect URL   {base}/apps/{id}/connect");
        println!("      the owner's browser comes here after Connect");
        println!("  Callback URL                {base}/apps/{id}/callback");
        println!("      uninstall, freeze and payment are told here");
        println!(
            "  Notification address        {}",
            application_hook_url(base, hook_secret, id)
        );
        println!("      for a non-public application only: its entity events. Keep it secret.");
        println!("      Of public applications Bellhop registers an address for each location itself.");
        println!();
    }
    Ok(ExitCode::SUCCESS)
}
