//! The registration redirect: its parameter shapes and its signature (contract 7.1).

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use super::callbacks::sign;

/// In which shape the redirect is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `salon_id=1`, for one location.
    Single,
    /// `salon_ids[]=1&salon_ids[]=2`.
    Brackets,
    /// `salon_ids%5B0%5D=1&…`.
    Indexed,
    /// `salon_ids=1,2`.
    Csv,
    /// Without user data.
    Unsigned,
    /// User data changed after it was signed.
    Tampered,
    /// Signed over the base64 text in place of the bytes in it: the mistake that several integrators made.
    SignedText,
    /// User data in the URL-safe base64 alphabet.
    Urlsafe,
    /// User data with `user_id` in place of `id` and fewer fields.
    UserIdKey,
}

/// The owner, as the user data describes them. Fields left out are invented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Phone, digits.
    pub phone: String,
    /// E-mail address.
    pub email: String,
    /// Whether the user confirmed the account.
    pub is_approved: bool,
    /// Address of a picture.
    pub avatar: String,
    /// Title of the location; absent: the real one.
    pub salon_name: Option<String>,
}

impl Default for Owner {
    fn default() -> Self {
        Self {
            id: 7_000_001,
            name: "Olivia Owner".to_owned(),
            phone: "10000000001".to_owned(),
            email: "owner@example.com".to_owned(),
            is_approved: true,
            avatar: String::new(),
            salon_name: None,
        }
    }
}

/// The fields of real user data, in their order.
#[derive(Serialize)]
struct UserData<'a> {
    id: i64,
    name: &'a str,
    phone: &'a str,
    email: &'a str,
    is_approved: bool,
    avatar: &'a str,
    salon_name: &'a str,
}

/// The fields of the support article's example.
#[derive(Serialize)]
struct OlderUserData<'a> {
    user_id: i64,
    name: &'a str,
    email: &'a str,
    phone: &'a str,
}

/// What a redirect is built from.
#[derive(Debug)]
pub(super) struct Redirect<'a> {
    pub(super) base: &'a str,
    pub(super) token: &'a str,
    pub(super) locations: &'a [i64],
    pub(super) owner: &'a Owner,
    pub(super) salon_name: &'a str,
    pub(super) pass_user_data: bool,
    pub(super) shape: Shape,
}

impl Redirect<'_> {
    /// The address the browser is sent to; own parameters of the configured one are kept.
    pub(super) fn url(&self) -> Result<String> {
        if self.base.is_empty() {
            bail!("the application has no redirect_url");
        }
        let mut query = self.ids()?;
        let passed = self.pass_user_data && self.shape != Shape::Unsigned;
        if passed {
            query.push('&');
            query.push_str(&self.user_data()?);
        }
        let joint = if self.base.contains('?') { '&' } else { '?' };
        Ok(format!("{}{joint}{query}", self.base))
    }

    fn ids(&self) -> Result<String> {
        let one = match self.locations {
            [] => bail!("name at least one location"),
            [one] => Some(*one),
            _ => None,
        };
        let list = |print: &dyn Fn(usize, i64) -> String| {
            let ids = self.locations.iter().enumerate();
            ids.map(|(at, id)| print(at, *id)).collect::<Vec<_>>().join("&")
        };
        Ok(match (self.shape, one) {
            (Shape::Brackets, _) => list(&|_, id| format!("salon_ids[]={id}")),
            (Shape::Indexed, _) => list(&|at, id| format!("salon_ids%5B{at}%5D={id}")),
            (Shape::Csv, _) => {
                let ids: Vec<String> = self.locations.iter().map(i64::to_string).collect();
                format!("salon_ids={}", ids.join(","))
            }
            (Shape::Single, None) => bail!("the shape `single` is for one location"),
            (_, Some(id)) => format!("salon_id={id}"),
            (_, None) => list(&|_, id| format!("salon_ids[]={id}")),
        })
    }

    fn user_data(&self) -> Result<String> {
        let json = self.user_json(self.owner.id)?;
        let signed = match self.shape {
            Shape::SignedText => STANDARD.encode(&json),
            _ => json.clone(),
        };
        let sign = sign(self.token, signed.as_bytes());
        let text = match self.shape {
            Shape::Urlsafe => URL_SAFE.encode(&json),
            Shape::Tampered => encoded(&self.user_json(self.owner.id + 8)?),
            Shape::Single
            | Shape::Brackets
            | Shape::Indexed
            | Shape::Csv
            | Shape::Unsigned
            | Shape::SignedText
            | Shape::UserIdKey => encoded(&json),
        };
        Ok(format!("user_data={text}&user_data_sign={sign}"))
    }

    fn user_json(&self, id: i64) -> Result<String> {
        let owner = self.owner;
        if self.shape == Shape::UserIdKey {
            return Ok(serde_json::to_string(&OlderUserData {
                user_id: id,
                name: &owner.name,
                email: &owner.email,
                phone: &owner.phone,
            })?);
        }
        Ok(serde_json::to_string(&UserData {
            id,
            name: &owner.name,
            phone: &owner.phone,
            email: &owner.email,
            is_approved: owner.is_approved,
            avatar: &owner.avatar,
            salon_name: owner.salon_name.as_deref().unwrap_or(self.salon_name),
        })?)
    }
}

/// The standard alphabet, percent-encoded.
fn encoded(json: &str) -> String {
    byte_serialize(STANDARD.encode(json).as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(owner: &Owner, shape: Shape, locations: &[i64]) -> String {
        let redirect = Redirect {
            base: "https://app.example.com/connect?from=market",
            token: "test-partner-token-0001",
            locations,
            owner,
            salon_name: "Test Salon",
            pass_user_data: true,
            shape,
        };
        redirect.url().expect("a redirect")
    }

    #[test]
    fn signatures_are_those_of_the_contract() {
        let first = Owner {
            id: 123,
            name: "Test User".to_owned(),
            email: "user@example.com".to_owned(),
            phone: "10000000003".to_owned(),
            ..Owner::default()
        };
        let url = redirect(&first, Shape::UserIdKey, &[100_001]);
        assert_eq!(
            url,
            "https://app.example.com/connect?from=market&salon_id=100001&user_data=\
             eyJ1c2VyX2lkIjoxMjMsIm5hbWUiOiJUZXN0IFVzZXIiLCJlbWFpbCI6InVzZXJAZXhhbXBsZS5jb20iLCJwaG9uZSI6IjEwMDAwMDAwMDAzIn0%3D\
             &user_data_sign=57cb0f29da04928bf239012a25c4fde1f5f85a15e2e8481824d4b1b9a30ffe6c"
        );
        let url = redirect(&first, Shape::SignedText, &[100_001]);
        assert!(url.contains("user_data_sign="), "{url}");
        assert!(!url.contains("57cb0f29"), "that is the sign over the bytes: {url}");
        let second = Owner {
            id: 7_000_002,
            name: "Test Owner".to_owned(),
            phone: "10000000002".to_owned(),
            email: "owner2@example.com".to_owned(),
            is_approved: false,
            avatar: String::new(),
            salon_name: Some("Test Salon >>> ??? ~~~".to_owned()),
        };
        let url = redirect(&second, Shape::Urlsafe, &[100_013]);
        assert!(url.contains("PiA_Pz8gfn5-In0=&user_data_sign=9273a302"), "{url}");
        assert!(url.ends_with("9273a3025830fb1c52941764d2851710b854b261abe2c05be8be33285d5cffd5"));
    }

    #[test]
    fn every_shape_names_its_locations() {
        let owner = Owner::default();
        let cases = [
            (Shape::Brackets, "&salon_ids[]=1&salon_ids[]=2&"),
            (Shape::Indexed, "&salon_ids%5B0%5D=1&salon_ids%5B1%5D=2&"),
            (Shape::Csv, "&salon_ids=1,2&"),
        ];
        for (shape, expected) in cases {
            let url = redirect(&owner, shape, &[1, 2]);
            assert!(url.contains(expected), "{url}");
        }
        assert!(redirect(&owner, Shape::Unsigned, &[1]).ends_with("&salon_id=1"));
    }
}
