//! The configuration: one TOML file, each key overridable by the environment, read once and checked
//! as a whole. Nothing else in Bellhop reads the environment or a configuration file.
#![expect(clippy::disallowed_methods, reason = "this is the owner of the environment")]

mod accounts;
/// The two brands of the marketplace and what differs between them.
pub mod brand;
mod environment;
mod operator;
/// How the owner's page looks.
pub mod page;
mod place;
mod secrets;
mod sections;
mod source;
mod telephony;
mod validate;
/// Durations, addresses and secrets as they are written in the file.
pub mod value;

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use self::place::{Notes, Places};
pub use self::{
    accounts::{Account, Activation, Application},
    operator::Operator,
    sections::{
        ActivationClocks, Database, Intake, Jobs, Log, LogFormat, Reconcile, Retention, Security, Server, Smtp,
        SmtpTls, Spool, Telegram,
    },
    telephony::Telephony,
};
use crate::domain::ids::ApplicationId;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the marketplace and the owners' browsers reach.
    #[serde(default)]
    pub server: Server,
    /// What operators and Prometheus reach.
    #[serde(default)]
    pub operator: Operator,
    /// Where facts are kept.
    #[serde(default)]
    pub database: Database,
    /// Secrets of our own.
    #[serde(default)]
    pub security: Security,
    /// How deliveries are taken.
    #[serde(default)]
    pub intake: Intake,
    /// Where deliveries wait for a database that is away.
    #[serde(default)]
    pub spool: Spool,
    /// How jobs are done.
    #[serde(default)]
    pub jobs: Jobs,
    /// The clocks of a connection.
    #[serde(default)]
    pub activation: ActivationClocks,
    /// How long old things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Comparing with the marketplace.
    #[serde(default)]
    pub reconcile: Reconcile,
    /// The mail server, for `send_email`.
    pub smtp: Option<Smtp>,
    /// Telegram, for `send_telegram`.
    #[serde(default)]
    pub telegram: Telegram,
    /// Log format and level.
    #[serde(default)]
    pub log: Log,
    /// Developer accounts.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
    /// Applications.
    #[serde(default, rename = "application")]
    pub applications: Vec<Application>,
    /// The folder that relative paths count from: the one of the file.
    #[serde(skip)]
    pub folder: PathBuf,
    #[serde(skip)]
    places: Places,
}

/// A file of rules.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Its path, as people should see it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is wrong with a configuration: all of it at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// The names of the sockets that were handed to this process, in their order: what `FileDescriptorName=` of a
/// systemd socket says.
pub fn names_of_inherited_sockets() -> Vec<String> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    names.split(':').map(str::to_owned).collect()
}

/// Whether a terminal may show colours: not when `NO_COLOR` says anything, or when it is a dumb one.
pub fn colours_are_wanted() -> bool {
    let says = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    says("NO_COLOR").is_none() && says("TERM").is_none_or(|term| term != "dumb")
}

impl Config {
    /// Reads the file and the environment, fills in secrets from their files, and checks the whole.
    ///
    /// # Errors
    /// With everything that is wrong, each with its place and its remedy.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        // A name or value that is no text is nobody's key.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        source::read(path, std::env::vars_os().filter_map(text))?.completed()
    }

    /// The same from a text, for the demonstration and for tests. The environment is not read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(text: &str, folder: &Path) -> Result<Self, Problems> {
        source::parse("configuration", text, folder, std::iter::empty())?.completed()
    }

    /// The JSON Schema of a configuration file, draft 7, for editors. It says less than the reader: what values mean to
    /// each other is checked by that alone.
    pub fn schema() -> serde_json::Value {
        let mut schema = SchemaSettings::draft07()
            .into_generator()
            .into_root_schema_for::<Self>()
            .to_value();
        schema["title"] = "Configuration of Bellhop".into();
        schema
    }

    /// Fills in the secrets from their files and checks the whole.
    fn completed(mut self) -> Result<Self, Problems> {
        let places = self.places.clone();
        let mut notes = Notes::new(&places);
        secrets::fill_in(&mut self, &mut notes);
        page::fill_in(&mut self, &mut notes);
        validate::check(&self, &mut notes);
        telephony::check(&self, &mut notes);
        notes.into_result()?;
        Ok(self)
    }

    /// The account of an application. There is one: the configuration was checked.
    pub fn account_of(&self, application: &Application) -> &Account {
        self.accounts
            .iter()
            .find(|account| account.name == application.account)
            .expect("checked at load")
    }

    /// An application by its number.
    pub fn application(&self, id: ApplicationId) -> Option<&Application> {
        self.applications.iter().find(|application| application.id == id)
    }

    /// Reads the rule files of an application, in order of name, each once.
    ///
    /// # Errors
    /// When a pattern names nothing, or a file cannot be read.
    pub fn rule_files(&self, application: &Application) -> Result<Vec<RuleFile>, Problems> {
        let index = self.applications.iter().position(|one| one.id == application.id);
        let key = index.map_or_else(
            || "application".to_owned(),
            |index| format!("application.{index}.rules"),
        );
        source::rule_files(self, &key, &application.rules)
    }

    /// Reads a secret that a rule keeps in a file.
    ///
    /// # Errors
    /// When it cannot be read; the text says why.
    pub fn secret_file(&self, path: &str) -> Result<String, String> {
        secrets::read(&self.folder, Path::new(path)).map_err(|error| format!("cannot read {path}: {error}"))
    }

    /// Where to find PostgreSQL's programs besides the usual places: the configured folder, else `PG_BIN`.
    pub fn postgres_bin_dir(&self) -> Option<PathBuf> {
        self.database
            .bin_dir
            .clone()
            .or_else(|| std::env::var_os("PG_BIN").map(PathBuf::from))
    }

    /// The value of `PATH`, in which PostgreSQL's programs are looked for last.
    pub fn search_path() -> Option<std::ffi::OsString> {
        std::env::var_os("PATH")
    }
}
