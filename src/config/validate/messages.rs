use super::is_web_address;
use crate::config::{Config, place::Notes};

/// Mail, chats and the log.
pub(super) fn check(config: &Config, notes: &mut Notes<'_>) {
    if let Some(smtp) = &config.smtp {
        let password = smtp.password.is_some() || smtp.password_file.is_some();
        match (&smtp.user, password) {
            (Some(_), false) => notes.at(
                "smtp.user",
                "smtp.user is set and smtp.password is not. Remedy: set smtp.password_file, or take smtp.user out",
            ),
            (None, true) => notes.at(
                "smtp.password",
                "smtp.password is set and smtp.user is not. Remedy: set smtp.user, or take the password out",
            ),
            (Some(_), true) | (None, false) => {}
        }
    }
    let base = &config.telegram.base;
    if !is_web_address(base) || base.ends_with('/') {
        notes.at(
            "telegram.base",
            format!("telegram.base = \"{base}\" must be a web address without a slash at the end"),
        );
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.filter) {
        notes.at(
            "log.filter",
            format!(
                "log.filter = \"{}\" is no filter: {error}. Remedy: a level such as \"info\", or \"info,bellhop=debug\"",
                config.log.filter
            ),
        );
    }
}
