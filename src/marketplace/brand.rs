use serde::{Deserialize, Serialize};

/// Whose marketplace it is (contract 1). The wire format is the same; only addresses, the media
/// type and the language of error texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Brand {
    /// `alteg.io`.
    Altegio,
    /// `yclients.com`.
    Yclients,
}

impl Brand {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altegio => "altegio",
            Self::Yclients => "yclients",
        }
    }

    /// Where installation and lifecycle calls go, unless configured otherwise.
    pub fn partner_base(self) -> &'static str {
        match self {
            Self::Altegio => "https://app.alteg.io/marketplace",
            Self::Yclients => "https://api.yclients.com/marketplace",
        }
    }

    /// Where billing calls go, unless configured otherwise. The public reference names the API
    /// host, the vendor's own running client uses the partner host (contract 1.1).
    pub fn billing_base(self) -> &'static str {
        self.partner_base()
    }

    /// Where the business API lives, unless configured otherwise.
    pub fn api_base(self) -> &'static str {
        match self {
            Self::Altegio => "https://api.alteg.io/api/v1",
            Self::Yclients => "https://api.yclients.com/api/v1",
        }
    }

    /// The media type that the server insists on (contract 2).
    pub fn accept(self) -> &'static str {
        match self {
            Self::Altegio => "application/vnd.api.v2+json",
            Self::Yclients => "application/vnd.yclients.v2+json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_the_configuration_is_the_name_in_the_code() {
        for brand in [Brand::Altegio, Brand::Yclients] {
            let written = serde_json::to_value(brand).expect("a brand");
            assert_eq!(written, brand.as_str());
            assert_eq!(serde_json::from_value::<Brand>(written).expect("a brand"), brand);
        }
    }
}
