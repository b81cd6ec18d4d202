//! Our webhook addresses at a location, and what it takes to have them there.

use super::{
    App,
    served::{application_hook_url, hook_url},
};
use crate::{
    domain::ids::Place,
    marketplace::calls::hooks::{
        HookSettings,
        merge::{self, Merge, MergeError},
    },
    store::looks::Hooks,
};

/// The addresses of one location that lead to us.
pub struct Addresses {
    /// What an activation registers.
    pub current: String,
    /// The notification address of a non-public application, which serves as well.
    application: String,
    /// The same made from the secret before.
    former: Vec<String>,
}

impl Addresses {
    /// Those of a location.
    pub fn of(app: &App, place: Place) -> Self {
        let url = &app.config.server.public_url;
        let both = |secret: &str| {
            [
                hook_url(url, secret, place),
                application_hook_url(url, secret, place.application_id),
            ]
        };
        let [current, application] = both(app.hook_secret());
        Self {
            current,
            application,
            former: app.hook_secrets().skip(1).flat_map(both).collect(),
        }
    }

    /// Whose an address is: `ours`, `ours, former` or `other`.
    pub fn whose(&self, url: &str) -> &'static str {
        if url == self.current || url == self.application {
            "ours"
        } else if self.former.iter().any(|former| former == url) {
            "ours, former"
        } else {
            "other"
        }
    }

    /// Whether the webhooks of a location come to us.
    pub fn stand(&self, settings: &HookSettings) -> Hooks {
        if settings.serves(&self.current) || settings.serves(&self.application) {
            Hooks::Registered
        } else if self.former.iter().any(|url| settings.serves(url)) {
            Hooks::Former
        } else {
            Hooks::Missing
        }
    }

    /// What to write so that they come to us: nothing when they do. Addresses of the secret before go.
    ///
    /// # Errors
    /// When the location has no room for one more address.
    pub fn repair(&self, settings: &HookSettings) -> Result<Option<Merge>, MergeError> {
        match self.stand(settings) {
            Hooks::Registered => Ok(None),
            Hooks::Former | Hooks::Missing | Hooks::Refused => {
                merge::merge(settings, &self.current, &self.former).map(Some)
            }
        }
    }
}
