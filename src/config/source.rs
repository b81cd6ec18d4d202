use std::{collections::BTreeMap, path::Path};

use super::{
    Config, Problems, RuleFile, environment,
    place::{self, Notes, Places, position},
};

/// Reads a configuration file and lays the environment over it.
pub(super) fn read(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = "name another file with --config or BELLHOP_CONFIG; bellhop.example.toml is a start";
        Problems(vec![format!("{name}: cannot be read: {error}. Remedy: {remedy}")])
    })?;
    parse(&name, &text, &place::folder_of(path), environment)
}

/// The same from a text.
pub(super) fn parse(
    name: &str,
    text: &str,
    folder: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Problems> {
    let in_file = |error: toml::de::Error| Problems(vec![describe(name, text, &error)]);
    // First without the environment, so that a mistake in the file is told with its line.
    let mut config: Config = toml::from_str(text).map_err(in_file)?;
    let mut places = Places::new(name, text);
    let table = toml::from_str(text).map_err(in_file)?;
    if let Some(changed) = environment::lay_over(&table, environment, &mut places)? {
        config = changed;
    }
    config.folder = folder.to_owned();
    config.places = places;
    Ok(config)
}

/// `file:line:column: message`.
fn describe(name: &str, text: &str, error: &toml::de::Error) -> String {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    format!("{name}:{line}:{column}: {}", plain(error.message()))
}

/// A parser's message without the names of Rust's types.
pub(super) fn plain(message: &str) -> String {
    let mut plain = message.trim().replace('\n', "; ");
    for number in ["usize", "u16", "u32", "i32", "i64"] {
        plain = plain.replace(
            &format!("expected {number}"),
            "expected a whole number that is not negative",
        );
    }
    plain
        .replace("expected a sequence", "expected a list, such as [\"rules/*.toml\"]")
        .replace("expected a boolean", "expected true or false")
}

/// The files that patterns name, each once, in order of name. `key` is where the patterns stand.
pub(super) fn rule_files(config: &Config, key: &str, patterns: &[String]) -> Result<Vec<RuleFile>, Problems> {
    let mut files = BTreeMap::new();
    let mut notes = Notes::new(&config.places);
    for pattern in patterns {
        let full = config.folder.join(pattern);
        let found: Vec<_> = match glob::glob(&full.to_string_lossy()) {
            Ok(paths) => paths.flatten().filter(|path| path.is_file()).collect(),
            Err(error) => {
                notes.at(key, format!("rules: `{pattern}` is no pattern: {error}"));
                continue;
            }
        };
        if found.is_empty() {
            notes.at(
                key,
                format!(
                    "rules: `{pattern}` names no file (looked for {}). Remedy: correct the path or take it out",
                    full.display()
                ),
            );
        }
        for path in found {
            match std::fs::read_to_string(&path) {
                Ok(text) => drop(files.insert(path.display().to_string(), text)),
                Err(error) => notes.at(key, format!("rules: {} cannot be read: {error}", path.display())),
            }
        }
    }
    notes.into_result()?;
    Ok(files.into_iter().map(|(name, text)| RuleFile { name, text }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_parse_is_told_with_its_place() {
        for (text, told) in [
            (
                "[server]\nlisten = \"127.0.0.1:1\"\n\nbody_limits = 5\n",
                "f:4:1: unknown field `body_limits`, expected one of `listen`, `public_url`",
            ),
            (
                "[server]\nack_deadline = \"4 seconds\"\n",
                "f:2:16: `4 seconds` is no duration: write a number and a unit",
            ),
            (
                "[server]\nlisten = \"localhost\"\n",
                "f:2:10: `localhost` is no address to listen on",
            ),
            (
                "[intake]\nqueue = -1\n",
                "f:2:9: invalid value: integer `-1`, expected a whole number",
            ),
            (
                "[[account]]\nbrand = \"other\"\n",
                "f:2:9: unknown variant `other`, expected `altegio`",
            ),
            ("[[account]]\n\n[log]\n", "f:1:1: missing field `name`"),
            ("[log\n", "f:1:5: "),
        ] {
            let error = parse("f", text, Path::new("."), std::iter::empty())
                .expect_err(text)
                .to_string();
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains('\n') && !error.contains("usize"), "{error}");
        }
    }
}
