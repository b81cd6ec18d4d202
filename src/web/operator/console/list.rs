//! Lists: what is asked for by a filter form, and the way to the next page.

use url::form_urlencoded::Serializer;

/// Rows on a page.
pub(super) const ROWS: i64 = 50;

/// What a filter form asks for, as it stands in the address. An empty field asks for nothing.
pub(super) struct Asked {
    address: String,
    fields: Vec<(&'static str, String)>,
}

impl Asked {
    /// The fields of a form at this address.
    pub(super) fn new<const N: usize>(address: &str, fields: [(&'static str, Option<String>); N]) -> Self {
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Self {
            address: address.to_owned(),
            fields: fields.collect(),
        }
    }

    /// The address of the page behind a cursor.
    pub(super) fn page(&self, cursor: Option<&str>) -> Option<String> {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.fields);
        query.append_pair("cursor", cursor?);
        Some(format!("{}?{}", self.address, query.finish()))
    }

    /// The address of the first page.
    pub(super) fn first(&self) -> String {
        match self.is_filtered() {
            true => format!(
                "{}?{}",
                self.address,
                Serializer::new(String::new()).extend_pairs(&self.fields).finish()
            ),
            false => self.address.clone(),
        }
    }

    /// Whether anything is asked for.
    pub(super) fn is_filtered(&self) -> bool {
        !self.fields.is_empty()
    }
}

/// What stands in a field of a form; `None` when it was left empty.
pub(super) fn filled(field: Option<String>) -> Option<String> {
    let field = field?;
    let field = field.trim();
    (!field.is_empty()).then(|| field.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_asks_for_the_same() {
        let asked = Asked::new(
            "/jobs",
            [
                ("state", Some("discarded".to_owned())),
                ("rule", None),
                ("q", Some("a&b".to_owned())),
            ],
        );
        assert_eq!(
            asked.page(Some("17")).as_deref(),
            Some("/jobs?state=discarded&q=a%26b&cursor=17")
        );
        assert_eq!(asked.page(None), None);
        assert_eq!(asked.first(), "/jobs?state=discarded&q=a%26b");
        let nothing = Asked::new("/jobs", [("state", None)]);
        assert_eq!((nothing.first().as_str(), nothing.is_filtered()), ("/jobs", false));
    }

    #[test]
    fn an_empty_field_asks_for_nothing() {
        assert_eq!(filled(Some(" a ".to_owned())).as_deref(), Some("a"));
        assert_eq!(filled(Some("  ".to_owned())), None);
        assert_eq!(filled(None), None);
    }
}
