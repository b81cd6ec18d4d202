use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, Secret};

/// The operator listener.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Operator {
    /// Address to listen on. Never exposed to the internet.
    #[serde(with = "value::address")]
    #[schemars(with = "value::AddressText")]
    pub listen: SocketAddr,
    /// What API calls carry as bearer token, and what the console asks for.
    pub token: Option<Secret>,
    /// A file that holds it.
    pub token_file: Option<PathBuf>,
    /// The token before, while somebody still uses it.
    pub token_previous: Option<Secret>,
    /// A file that holds it.
    pub token_previous_file: Option<PathBuf>,
    /// With this one everything may be looked at and nothing changed.
    pub read_token: Option<Secret>,
    /// A file that holds it.
    pub read_token_file: Option<PathBuf>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 9090).into(),
            token: None,
            token_file: None,
            token_previous: None,
            token_previous_file: None,
            read_token: None,
            read_token_file: None,
        }
    }
}
