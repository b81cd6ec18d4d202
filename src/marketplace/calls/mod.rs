//! One pure function per call of the vendor, grouped by what they are about. A builder refuses
//! values of which the contract says that the server refuses them, so that a wrong rule costs no
//! request.

use rust_decimal::Decimal;

use crate::domain::messaging::MOST_SENDER_NAMES;

/// Tariffs, discounts, payment links, payments.
pub mod billing;
/// Pages and messages of an application inside the cabinet.
pub mod cabinet;
/// Message channels and sender names.
pub mod channels;
/// Countries, cities, kinds of business.
pub mod dictionaries;
/// Webhook settings of a location.
pub mod hooks;
/// Status, activation, disconnection.
pub mod installation;
/// Connected locations and tariffs.
pub mod inventory;
/// Telephone calls.
pub mod telephony;

/// A value outside the limits of the contract; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A discount outside 0 to 100.
    #[error("a discount must be between 0 and 100 percent, not {0}")]
    Percent(Decimal),
    /// No location at all, or too many for one call.
    #[error("one call takes 1 to {MAX_LOCATIONS} locations, not {0}")]
    Locations(usize),
    /// A page size outside 1 to 1000.
    #[error("a page has 1 to {MAX_LOCATIONS} locations, not {0}")]
    PageSize(u32),
    /// Too many webhook addresses.
    #[error("at most {MAX_HOOKS} webhook addresses, not {0}")]
    HookCount(usize),
    /// An address that is not HTTPS (HTTP counts on loopback only), too long, or there twice.
    #[error("not usable as an address at the marketplace ({reason}): {url}")]
    Address {
        /// Which.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// No sender name at all, or too many.
    #[error("1 to {MOST_SENDER_NAMES} sender names, not {0}")]
    NameCount(usize),
    /// A sender name that the marketplace refuses.
    #[error("not allowed as a sender name ({reason}): {name}")]
    Name {
        /// Which.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A currency that is not three capital letters.
    #[error("a currency is three capital letters, not {0:?}")]
    Currency(String),
    /// A negative amount.
    #[error("an amount cannot be negative: {0}")]
    Amount(Decimal),
    /// A phone number with anything but digits in it.
    #[error("a phone number is digits alone here, not {0:?}")]
    Phone(String),
    /// A text that is empty or too long.
    #[error("{what} has 1 to {limit} characters, not {length}")]
    Text {
        /// Which text.
        what: &'static str,
        /// The most it may have.
        limit: usize,
        /// What it has.
        length: usize,
    },
}

/// Locations in one call, and in one page (contract 4, M3).
pub const MAX_LOCATIONS: usize = 1000;
/// Webhook addresses of one location, over all applications (contract 4).
pub const MAX_HOOKS: usize = 10;
/// Characters of one webhook address (contract 4).
pub const MAX_ADDRESS: usize = 4096;

/// Characters of a chat message (contract M13).
pub const MAX_MESSAGE: usize = 4000;
/// Characters of the name beside it (contract M13).
pub const MAX_NAME: usize = 255;

fn percent(value: Decimal) -> Result<Decimal, LimitError> {
    if (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&value) {
        Ok(value.normalize())
    } else {
        Err(LimitError::Percent(value))
    }
}

/// HTTPS, as the server demands. HTTP is let through for loopback hosts, which the marketplace
/// could not reach anyway but the sandbox can.
fn address(text: &str) -> Result<(), LimitError> {
    let refuse = |reason| {
        Err(LimitError::Address {
            url: text.to_owned(),
            reason,
        })
    };
    if text.len() > MAX_ADDRESS {
        return refuse("longer than 4096 characters");
    }
    let Ok(url) = url::Url::parse(text) else {
        return refuse("not a URL");
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => refuse("not HTTPS"),
    }
}

/// What a 404 in the marketplace's own envelope means for calls about one installation: it is not
/// there (contract M6, M7). The same status with the words for an unknown application or for a
/// wrong path says nothing about the installation: taking it for "not installed" would disconnect
/// every location after a slip in the configuration.
fn is_not_installed(status: u16, message: &str) -> bool {
    const ABOUT_SOMETHING_ELSE: [&str; 3] = ["application not found", "агрегатор не найден", "an error has occurred"];
    let message = message.to_lowercase();
    status == 404 && !ABOUT_SOMETHING_ELSE.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine() {
        for fine in [
            "https://hooks.example.com/a",
            "http://127.0.0.1:8080/a",
            "http://localhost/a",
            "http://[::1]:1/",
        ] {
            assert_eq!(address(fine), Ok(()), "{fine}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_ADDRESS));
        for wrong in [
            "http://hooks.example.com/a",
            "ftp://127.0.0.1/",
            "/a",
            "",
            long.as_str(),
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_percentage_is_between_nothing_and_everything() {
        for (text, fine) in [
            ("0", true),
            ("15.54", true),
            ("100", true),
            ("100.01", false),
            ("-1", false),
        ] {
            assert_eq!(percent(text.parse().expect("a number")).is_ok(), fine, "{text}");
        }
    }
}
