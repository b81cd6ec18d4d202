use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The marketplace exists twice, with the same wire format under two names (contract 1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Brand {
    /// `alteg.io`.
    #[default]
    Altegio,
    /// `yclients.com`.
    Yclients,
}

impl Brand {
    /// Base of the marketplace partner calls.
    pub fn partner_base(self) -> &'static str {
        match self {
            Self::Altegio => "https://app.alteg.io/marketplace",
            Self::Yclients => "https://api.yclients.com/marketplace",
        }
    }

    /// Base of the business API.
    pub fn api_base(self) -> &'static str {
        match self {
            Self::Altegio => "https://api.alteg.io/api/v1",
            Self::Yclients => "https://api.yclients.com/api/v1",
        }
    }

    /// The media type the server insists on.
    pub fn accept(self) -> &'static str {
        match self {
            Self::Altegio => "application/vnd.api.v2+json",
            Self::Yclients => "application/vnd.yclients.v2+json",
        }
    }

    /// Who may show our pages in a frame (contract 7.1). The second brand's card was not seen, so its
    /// own hosts are allowed.
    pub fn frame_ancestors(self) -> &'static str {
        match self {
            Self::Altegio => "https://app.alteg.io",
            Self::Yclients => "https://yclients.com https://*.yclients.com",
        }
    }

    /// The application's card of a location, where it is known (contract 1).
    pub fn card_url(self, location: i64, application: i64) -> Option<String> {
        match self {
            Self::Altegio => Some(format!(
                "https://app.alteg.io/appstore/{location}/applications/{application}/info"
            )),
            Self::Yclients => None,
        }
    }
}
