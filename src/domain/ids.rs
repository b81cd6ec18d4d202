use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// An application of a partner in the marketplace, as the developer cabinet numbers it.
    ApplicationId
}
id! {
    /// A business place; the marketplace calls it salon, company, branch or location. Ids exceed
    /// 32 bits in places, so all are 64 (contract 0).
    LocationId
}
id! {
    /// One stored event.
    EventId
}
id! {
    /// One application of one rule to one occurrence.
    FiringId
}
id! {
    /// One action in the queue.
    JobId
}

/// An application at a location: what nearly everything in Bellhop is keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The application.
    pub application_id: ApplicationId,
    /// The location.
    pub location_id: LocationId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.application_id, self.location_id)
    }
}
