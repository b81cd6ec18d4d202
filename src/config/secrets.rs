use std::{io, path::Path};

use super::{Config, place::Notes, value::Secret};

/// Reads every secret that is kept in a file.
pub(super) fn fill_in(config: &mut Config, notes: &mut Notes<'_>) {
    let folder = config.folder.clone();
    let mut filler = Filler { folder: &folder, notes };
    let operator = &mut config.operator;
    for (name, value, file) in [
        ("token", &mut operator.token, &operator.token_file),
        (
            "token_previous",
            &mut operator.token_previous,
            &operator.token_previous_file,
        ),
        ("read_token", &mut operator.read_token, &operator.read_token_file),
    ] {
        filler.fill("operator", name, value, file.as_deref());
    }
    let database = &mut config.database;
    filler.fill("database", "url", &mut database.url, database.url_file.as_deref());
    let security = &mut config.security;
    for (name, value, file) in [
        ("hook_secret", &mut security.hook_secret, &security.hook_secret_file),
        (
            "hook_secret_previous",
            &mut security.hook_secret_previous,
            &security.hook_secret_previous_file,
        ),
    ] {
        filler.fill("security", name, value, file.as_deref());
    }
    if let Some(smtp) = &mut config.smtp {
        filler.fill("smtp", "password", &mut smtp.password, smtp.password_file.as_deref());
    }
    for (index, account) in config.accounts.iter_mut().enumerate() {
        let section = format!("account.{index}");
        for (name, value, file) in [
            ("partner_token", &mut account.partner_token, &account.partner_token_file),
            (
                "partner_token_previous",
                &mut account.partner_token_previous,
                &account.partner_token_previous_file,
            ),
            ("signature_key", &mut account.signature_key, &account.signature_key_file),
            (
                "signature_key_previous",
                &mut account.signature_key_previous,
                &account.signature_key_previous_file,
            ),
        ] {
            filler.fill(&section, name, value, file.as_deref());
        }
    }
    for (index, application) in config.applications.iter_mut().enumerate() {
        let (value, file) = (&mut application.user_token, application.user_token_file.as_deref());
        filler.fill(&format!("application.{index}"), "user_token", value, file);
        for (system, telephony) in application.telephony.iter_mut().enumerate() {
            let (value, file) = (&mut telephony.crm_token, telephony.crm_token_file.as_deref());
            let section = format!("application.{index}.telephony.{system}");
            filler.fill(&section, "crm_token", value, file);
        }
    }
}

struct Filler<'f, 'n> {
    folder: &'f Path,
    notes: &'f mut Notes<'n>,
}

impl Filler<'_, '_> {
    fn fill(&mut self, section: &str, name: &str, value: &mut Option<Secret>, file: Option<&Path>) {
        let key = format!("{section}.{name}_file");
        let Some(file) = file else { return };
        if value.is_some() {
            return self
                .notes
                .at(&key, format!("{name} and {name}_file are both set. Remedy: keep one"));
        }
        match read(self.folder, file) {
            Ok(text) if text.is_empty() => self.notes.at(
                &key,
                format!(
                    "{name}_file: {} is empty. Remedy: write the secret into it",
                    file.display()
                ),
            ),
            Ok(text) => *value = Some(Secret::new(text)),
            Err(error) => self.notes.at(
                &key,
                format!(
                    "{name}_file: {} cannot be read: {error}. Remedy: correct the path, or let this user read it",
                    self.folder.join(file).display()
                ),
            ),
        }
    }
}

/// The text of a secret's file, without the line end that editors add.
pub(super) fn read(folder: &Path, path: &Path) -> io::Result<String> {
    Ok(std::fs::read_to_string(folder.join(path))?
        .trim_end_matches(['\r', '\n'])
        .to_owned())
}
