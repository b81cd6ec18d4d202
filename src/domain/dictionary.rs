//! What the marketplace's numbers stand for.

/// A country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Country {
    /// Number.
    pub id: i64,
    /// Short name.
    pub title: Option<String>,
    /// Two letters, capital: ISO 3166 alpha-2.
    pub iso_code: Option<String>,
    /// Calling code, digits.
    pub phone_code: Option<String>,
    /// Sign of its currency.
    pub currency: Option<String>,
    /// Whether it is in the European Union.
    pub is_eu: Option<bool>,
}

/// A city.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct City {
    /// Number.
    pub id: i64,
    /// Number of its country.
    pub country_id: Option<i64>,
    /// Name.
    pub title: Option<String>,
}

/// A kind of business, with the group it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessType {
    /// Number.
    pub id: i64,
    /// Name.
    pub title: Option<String>,
    /// Number of the group.
    pub group_id: i64,
    /// Name of the group.
    pub group_title: Option<String>,
}
