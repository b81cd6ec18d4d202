//! Countries, cities and kinds of business, as the database keeps them for a day. They cost a request when they are
//! older, and nothing else waits for them: without one, less is known of a location.

use tracing::warn;

use super::{
    App,
    line::{Failure, Line},
    served::Served,
};
use crate::{
    domain::dictionary::{BusinessType, City, Country},
    marketplace::{call::Call, calls},
    store::{
        self,
        dictionaries::{self, Dictionary, Need, Which},
    },
};

/// How much somebody wants a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// In passing: when it could not be read a moment ago, without.
    Passing,
    /// Somebody waits for it.
    Asked,
}

/// Sees to it that the countries are known, so that rules can ask for the country of a location. A failure is told in
/// the log and stops nobody.
///
/// # Errors
/// When the database does not answer, or this process is about to stop.
pub async fn learn_countries(app: &App, served: &Served, line: &mut Line<'_>) -> Result<(), Failure> {
    match refresh_countries(app, served, line, Wish::Passing).await {
        Err(failure @ (Failure::Call(_) | Failure::NoTurn | Failure::Shut(_))) => {
            warn!(application_id = %served.id, error = %failure, "The countries could not be read; it is tried again later");
            Ok(())
        }
        result => result,
    }
}

async fn refresh_countries(app: &App, served: &Served, line: &mut Line<'_>, wish: Wish) -> Result<(), Failure> {
    let call = calls::dictionaries::countries();
    let save = async |found: Vec<Country>| dictionaries::save_countries(&app.pool, served.id, &found).await;
    refresh(app, line, (which(served, Dictionary::Countries), wish), &call, save).await
}

/// The countries, by name.
///
/// # Errors
/// When they are not known, and the marketplace does not tell them either.
pub async fn countries(app: &App, served: &Served, line: &mut Line<'_>) -> Result<Vec<Country>, Failure> {
    refresh_countries(app, served, line, Wish::Asked).await?;
    Ok(dictionaries::countries(&app.pool, served.id).await?)
}

/// The cities, of one country or of all, by name.
///
/// # Errors
/// As [`countries`].
pub async fn cities(
    app: &App,
    served: &Served,
    line: &mut Line<'_>,
    country_id: Option<i64>,
) -> Result<Vec<City>, Failure> {
    let call = calls::dictionaries::cities(country_id, None);
    let save = async |found: Vec<City>| dictionaries::save_cities(&app.pool, served.id, country_id, &found).await;
    let which = Which {
        country_id,
        ..which(served, Dictionary::Cities)
    };
    refresh(app, line, (which, Wish::Asked), &call, save).await?;
    Ok(dictionaries::cities(&app.pool, served.id, country_id).await?)
}

/// The kinds of business, group by group.
///
/// # Errors
/// As [`countries`].
pub async fn business_types(app: &App, served: &Served, line: &mut Line<'_>) -> Result<Vec<BusinessType>, Failure> {
    let call = calls::dictionaries::business_groups();
    let save = async |found: Vec<BusinessType>| dictionaries::save_business_types(&app.pool, served.id, &found).await;
    let which = which(served, Dictionary::BusinessTypes);
    refresh(app, line, (which, Wish::Asked), &call, save).await?;
    Ok(dictionaries::business_types(&app.pool, served.id).await?)
}

fn which(served: &Served, dictionary: Dictionary) -> Which {
    Which {
        application: served.id,
        dictionary,
        country_id: None,
    }
}

/// Reads it anew when it is time. An empty one is an answer and replaces what was there.
async fn refresh<T>(
    app: &App,
    line: &mut Line<'_>,
    (which, wish): (Which, Wish),
    call: &Call<T>,
    save: impl AsyncFnOnce(T) -> store::Result<()>,
) -> Result<(), Failure> {
    match (dictionaries::need(&app.pool, which).await?, wish) {
        (Need::Fresh, _) | (Need::Rests, Wish::Passing) => return Ok(()),
        (Need::Rests, Wish::Asked) | (Need::Due, _) => {}
    }
    match line.send(call).await {
        Ok(found) => Ok(save(found).await?),
        Err(failure) => {
            if matches!(failure, Failure::Call(_)) {
                dictionaries::note_failure(&app.pool, which).await?;
            }
            Err(failure)
        }
    }
}
