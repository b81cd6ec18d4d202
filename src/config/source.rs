use std::{collections::BTreeMap, io, path::Path};

use toml::{Table, Value};

use super::{Config, Problems, RuleFile, value::Secret};

/// Reads a configuration file and lays the environment over it.
pub(super) fn read(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "name another file with --config or BELLHOP_CONFIG; bellhop.example.toml is a start";
        Problems(vec![format!("{name}: cannot be read: {error}. Remedy: {remedy}")])
    })?;
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    parse(&name, &text, folder, environment)
}

/// The same from a text.
pub(super) fn parse(
    name: &str,
    text: &str,
    folder: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Problems> {
    // First without the environment, so that a mistake in the file is told with its line.
    let in_file = |error: toml::de::Error| Problems(vec![describe(name, text, &error)]);
    let mut config: Config = toml::from_str(text).map_err(in_file)?;
    let overrides: BTreeMap<String, String> = environment
        .filter(|(key, _)| key.starts_with("BELLHOP_") && key != "BELLHOP_CONFIG" && key.contains("__"))
        .collect();
    if !overrides.is_empty() {
        let mut table: Table = toml::from_str(text).map_err(in_file)?;
        for (key, value) in &overrides {
            lay_over(&mut table, key, value)
                .map_err(|problem| Problems(vec![format!("environment: {key}: {problem}")]))?;
        }
        config = table.try_into().map_err(|error: toml::de::Error| {
            let keys: Vec<&str> = overrides.keys().map(String::as_str).collect();
            Problems(vec![format!("environment ({}): {}", keys.join(", "), error.message())])
        })?;
    }
    config.folder = folder.to_owned();
    fill_in_secrets(&mut config)?;
    Ok(config)
}

/// `file:line:column: message`.
fn describe(name: &str, text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{name}:{line}:{column}: {}", error.message().trim())
}

/// `BELLHOP_ACCOUNT__0__PARTNER_TOKEN` is the key `partner_token` of the first `[[account]]`.
fn lay_over(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let path: Vec<String> = key
        .trim_start_matches("BELLHOP_")
        .split("__")
        .map(str::to_lowercase)
        .collect();
    let (last, parents) = path.split_last().ok_or("names no key")?;
    let mut here = table;
    let mut steps = parents.iter().peekable();
    while let Some(step) = steps.next() {
        let index = steps.next_if(|next| next.bytes().all(|b| b.is_ascii_digit()));
        let entry = here.entry(step.clone()).or_insert_with(|| match index {
            Some(_) => Value::Array(Vec::new()),
            None => Value::Table(Table::new()),
        });
        let entry = match (entry, index) {
            (Value::Array(items), Some(index)) => {
                let index: usize = index.parse().map_err(|_| "no such number")?;
                if index == items.len() {
                    items.push(Value::Table(Table::new()));
                }
                items
                    .get_mut(index)
                    .ok_or_else(|| format!("there is no [[{step}]] number {index}, counted from 0"))?
            }
            (entry, _) => entry,
        };
        here = entry.as_table_mut().ok_or_else(|| format!("`{step}` is no section"))?;
    }
    let value = match text.parse::<toml::Value>() {
        Ok(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_))) => value,
        _ => Value::String(text.to_owned()),
    };
    here.insert(last.clone(), value);
    Ok(())
}

fn fill_in_secrets(config: &mut Config) -> Result<(), Problems> {
    let folder = config.folder.clone();
    let mut problems = Vec::new();
    let mut fill = |key: String, value: &mut Option<Secret>, file: &Option<std::path::PathBuf>| match (&value, file) {
        (Some(_), Some(_)) => problems.push(format!("{key} and {key}_file are both set. Remedy: keep one")),
        (None, Some(path)) => match secret(&folder, path) {
            Ok(text) if text.is_empty() => problems.push(format!("{key}_file: {} is empty", path.display())),
            Ok(text) => *value = Some(Secret::new(text)),
            Err(error) => problems.push(format!("{key}_file: cannot read {}: {error}", path.display())),
        },
        (_, None) => {}
    };
    fill(
        "operator.token".into(),
        &mut config.operator.token,
        &config.operator.token_file,
    );
    fill(
        "database.url".into(),
        &mut config.database.url,
        &config.database.url_file,
    );
    let security = &mut config.security;
    fill(
        "security.hook_secret".into(),
        &mut security.hook_secret,
        &security.hook_secret_file,
    );
    fill(
        "security.hook_secret_previous".into(),
        &mut security.hook_secret_previous,
        &security.hook_secret_previous_file,
    );
    if let Some(smtp) = &mut config.smtp {
        fill("smtp.password".into(), &mut smtp.password, &smtp.password_file);
    }
    for account in &mut config.accounts {
        let name = account.name.clone();
        fill(
            format!("account `{name}`: partner_token"),
            &mut account.partner_token,
            &account.partner_token_file,
        );
        fill(
            format!("account `{name}`: signature_key"),
            &mut account.signature_key,
            &account.signature_key_file,
        );
    }
    for application in &mut config.applications {
        let id = application.id;
        fill(
            format!("application {id}: user_token"),
            &mut application.user_token,
            &application.user_token_file,
        );
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems))
    }
}

/// The text of a secret's file, without the line end that editors add.
pub(super) fn secret(folder: &Path, path: &Path) -> io::Result<String> {
    Ok(std::fs::read_to_string(folder.join(path))?
        .trim_end_matches(['\r', '\n'])
        .to_owned())
}

/// The files that patterns name.
pub(super) fn rule_files(folder: &Path, patterns: &[String]) -> Result<Vec<RuleFile>, Problems> {
    let mut files = BTreeMap::new();
    let mut problems = Vec::new();
    for pattern in patterns {
        let full = folder.join(pattern);
        let found: Vec<_> = match glob::glob(&full.to_string_lossy()) {
            Ok(paths) => paths.flatten().filter(|path| path.is_file()).collect(),
            Err(error) => {
                problems.push(format!("rules = \"{pattern}\": {error}"));
                continue;
            }
        };
        if found.is_empty() {
            problems.push(format!(
                "rules = \"{pattern}\" names no file (looked for {}). Remedy: correct the path or take the line out",
                full.display()
            ));
        }
        for path in found {
            match std::fs::read_to_string(&path) {
                Ok(text) => drop(files.insert(path.display().to_string(), text)),
                Err(error) => problems.push(format!("{}: cannot be read: {error}", path.display())),
            }
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(files.into_iter().map(|(name, text)| RuleFile { name, text }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        parse("bellhop.toml", text, Path::new("."), environment).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let error = parsed("[server]\nlisten = \"127.0.0.1:1\"\n\nbody_limits = 5\n", &[]).expect_err("unknown key");
        assert!(
            error.starts_with("bellhop.toml:4:1: unknown field `body_limits`"),
            "{error}"
        );
        let error = parsed("[server]\nack_deadline = \"4 seconds\"\n", &[]).expect_err("no duration");
        assert!(
            error.starts_with("bellhop.toml:2:16: `4 seconds` is no duration"),
            "{error}"
        );
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let text = "[[account]]\nname = \"main\"\n";
        let environment = [
            ("BELLHOP_SERVER__LISTEN", "127.0.0.1:81"),
            ("BELLHOP_INTAKE__QUEUE", "7"),
            ("BELLHOP_ACCOUNT__0__PARTNER_TOKEN", "12345"),
            ("BELLHOP_ACCOUNT__1__NAME", "second"),
            ("BELLHOP_CONFIG", "elsewhere"),
        ];
        let config = parsed(text, &environment).expect("valid");
        assert_eq!(config.server.listen.port(), 81);
        assert_eq!(config.intake.queue, 7);
        assert_eq!(
            config.accounts[0].partner_token.as_ref().map(Secret::expose),
            Some("12345")
        );
        assert_eq!(config.accounts[1].name, "second");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let error = parsed("", &[("BELLHOP_SERVER__LISTENN", "x")]).expect_err("unknown key");
        assert!(
            error.contains("BELLHOP_SERVER__LISTENN") && error.contains("listenn"),
            "{error}"
        );
        let error = parsed("", &[("BELLHOP_ACCOUNT__3__NAME", "x")]).expect_err("no such account");
        assert!(error.contains("there is no [[account]] number 3"), "{error}");
    }
}
