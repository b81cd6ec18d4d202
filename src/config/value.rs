use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// So many seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes.
pub const fn minutes(n: u64) -> Duration {
    seconds(n * 60)
}

/// So many days.
pub const fn days(n: u64) -> Duration {
    minutes(n * 24 * 60)
}

/// A text that nobody may see. It prints as three stars.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A token of digits comes out of the environment as a number.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(i64),
        }
        Ok(
            match Form::deserialize(deserializer).map_err(|_| de::Error::custom("a secret must be a text"))? {
                Form::Text(text) => Self::new(text),
                Form::Number(number) => Self::new(number.to_string()),
            },
        )
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"]})
    }
}

/// Says in a schema how a value is written.
macro_rules! written {
    ($(#[doc = $doc:literal])+ $name:ident as $word:literal, $pattern:expr) => {
        $(#[doc = $doc])+
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $word.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

written! {
    /// What [`duration`] reads.
    DurationText as "duration", crate::domain::span::PATTERN
}

written! {
    /// What [`bytes`] reads.
    BytesText as "bytes", "^[0-9]+ *(GiB|MiB|KiB|B)$"
}

written! {
    /// What [`address`] reads.
    AddressText as "address", "^[0-9a-fA-F.:\\[\\]%]+:[0-9]+$"
}

/// Durations as `"250ms"`, `"20s"`, `"10m"`, `"12h"`, `"3d"`.
pub mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, de};
    use crate::domain::span;

    /// Writes the largest unit that fits.
    ///
    /// # Errors
    /// Never.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&span::write(*duration))
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        span::parse(&text).map_err(|remedy| de::Error::custom(format!("`{text}` is no duration: {remedy}")))
    }
}

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Writes a number of bytes in the largest unit that leaves no rest.
pub fn write_bytes(bytes: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale));
    unit.map_or_else(|| "0B".to_owned(), |(name, scale)| format!("{}{name}", bytes / scale))
}

/// Numbers of bytes as `"256MiB"`, `"1GiB"`.
pub mod bytes {
    use super::{Deserialize, Deserializer, Serializer, UNITS, de, write_bytes};

    /// Writes it.
    ///
    /// # Errors
    /// Never.
    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write_bytes(*bytes))
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is no number of bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
        scale
            .and_then(|(_, scale)| number.parse::<u64>().ok()?.checked_mul(*scale))
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "`{text}` is no number of bytes: write a number and a unit, such as \"256MiB\" or \"1GiB\""
                ))
            })
    }
}

/// Addresses to listen on: `"127.0.0.1:8080"`, `"[::]:8080"`.
pub mod address {
    use std::net::SocketAddr;

    use super::{Deserialize, Deserializer, Serializer, de};

    /// Writes it.
    ///
    /// # Errors
    /// Never.
    pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is no IP address with a port.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is no address to listen on: write an IP address and a port, such as \"127.0.0.1:8080\""
            ))
        })
    }
}
