//! What the marketplace's numbers of countries, cities and kinds of business stand for, and when it was read.

use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    dictionary::{BusinessType, City, Country},
    event::words,
    ids::ApplicationId,
};

words! {
    /// A dictionary.
    Dictionary {
        /// Countries.
        Countries = "countries",
        /// Cities.
        Cities = "cities",
        /// Kinds of business.
        BusinessTypes = "business_types",
    }
}

/// Which dictionary of whom.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// As this application reads it.
    pub application: ApplicationId,
    /// Which.
    pub dictionary: Dictionary,
    /// Only of this country.
    pub country_id: Option<i64>,
}

/// Whether a dictionary is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It was read within a day.
    Fresh,
    /// Reading it failed within ten minutes.
    Rests,
    /// It is a day old, or was never read.
    Due,
}

/// Whether it is to be read.
///
/// # Errors
/// When the database does not answer.
pub async fn need(pool: &PgPool, which: Which) -> sqlx::Result<Need> {
    let row = sqlx::query!(
        r#"select coalesce(read_at > now() - interval '1 day', false) as "fresh!",
                  coalesce(failed_at > now() - interval '10 minutes', false) as "failed!"
           from dictionaries where application_id = $1 and name = $2 and country_id = $3"#,
        which.application.0,
        which.dictionary.as_str(),
        which.country_id.unwrap_or(0),
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        Some(row) if row.fresh => Need::Fresh,
        Some(row) if row.failed => Need::Rests,
        Some(_) | None => Need::Due,
    })
}

/// Notes that it could not be read.
///
/// # Errors
/// When the database does not answer.
pub async fn note_failure(pool: &PgPool, which: Which) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dictionaries (application_id, name, country_id, failed_at) values ($1, $2, $3, now())
         on conflict (application_id, name, country_id) do update set failed_at = now()",
        which.application.0,
        which.dictionary.as_str(),
        which.country_id.unwrap_or(0),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Two readings at once would only write the same twice; they do it one after the other.
async fn note_read(tx: &mut PgTransaction<'_>, which: Which) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dictionaries (application_id, name, country_id, read_at) values ($1, $2, $3, now())
         on conflict (application_id, name, country_id) do update set read_at = now(), failed_at = null",
        which.application.0,
        which.dictionary.as_str(),
        which.country_id.unwrap_or(0),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes the countries in place of those before.
///
/// # Errors
/// When the database does not answer.
pub async fn save_countries(pool: &PgPool, application: ApplicationId, countries: &[Country]) -> sqlx::Result<()> {
    let ids: Vec<i64> = countries.iter().map(|country| country.id).collect();
    let column = |read: fn(&Country) -> &Option<String>| -> Vec<Option<String>> {
        countries.iter().map(|country| read(country).clone()).collect()
    };
    let is_eu: Vec<Option<bool>> = countries.iter().map(|country| country.is_eu).collect();
    let mut tx = pool.begin().await?;
    let which = Which {
        application,
        dictionary: Dictionary::Countries,
        country_id: None,
    };
    note_read(&mut tx, which).await?;
    sqlx::query!(
        "delete from countries where application_id = $1 and country_id <> all($2)",
        application.0,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into countries (application_id, country_id, title, iso_code, phone_code, currency, is_eu)
         select distinct on (id) $1, id, title, iso_code, phone_code, currency, is_eu
         from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[])
             as t(id, title, iso_code, phone_code, currency, is_eu)
         on conflict (application_id, country_id) do update set title = excluded.title, iso_code = excluded.iso_code,
             phone_code = excluded.phone_code, currency = excluded.currency, is_eu = excluded.is_eu",
        application.0,
        &ids,
        &column(|country| &country.title) as &[Option<String>],
        &column(|country| &country.iso_code) as &[Option<String>],
        &column(|country| &country.phone_code) as &[Option<String>],
        &column(|country| &country.currency) as &[Option<String>],
        &is_eu as &[Option<bool>],
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// The countries, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn countries(pool: &PgPool, application: ApplicationId) -> sqlx::Result<Vec<Country>> {
    sqlx::query_as!(
        Country,
        "select country_id as id, title, iso_code, phone_code, currency, is_eu from countries
         where application_id = $1 order by title, country_id",
        application.0
    )
    .fetch_all(pool)
    .await
}

/// Writes the cities, of one country or of all, in place of those before.
///
/// # Errors
/// When the database does not answer.
pub async fn save_cities(
    pool: &PgPool,
    application: ApplicationId,
    country_id: Option<i64>,
    cities: &[City],
) -> sqlx::Result<()> {
    let ids: Vec<i64> = cities.iter().map(|city| city.id).collect();
    let countries: Vec<Option<i64>> = cities.iter().map(|city| city.country_id.or(country_id)).collect();
    let titles: Vec<Option<String>> = cities.iter().map(|city| city.title.clone()).collect();
    let mut tx = pool.begin().await?;
    let which = Which {
        application,
        dictionary: Dictionary::Cities,
        country_id,
    };
    note_read(&mut tx, which).await?;
    sqlx::query!(
        "delete from cities where application_id = $1 and ($2::bigint is null or country_id = $2) and city_id <> all($3)",
        application.0,
        country_id,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cities (application_id, city_id, country_id, title)
         select distinct on (id) $1, id, country_id, title
         from unnest($2::bigint[], $3::bigint[], $4::text[]) as t(id, country_id, title) order by id
         on conflict (application_id, city_id) do update set country_id = excluded.country_id, title = excluded.title",
        application.0,
        &ids,
        &countries as &[Option<i64>],
        &titles as &[Option<String>],
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// The cities, of one country or of all, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn cities(pool: &PgPool, application: ApplicationId, country_id: Option<i64>) -> sqlx::Result<Vec<City>> {
    sqlx::query_as!(
        City,
        "select city_id as id, country_id, title from cities
         where application_id = $1 and ($2::bigint is null or country_id = $2) order by title, city_id",
        application.0,
        country_id
    )
    .fetch_all(pool)
    .await
}

/// Writes the kinds of business in place of those before.
///
/// # Errors
/// When the database does not answer.
pub async fn save_business_types(
    pool: &PgPool,
    application: ApplicationId,
    types: &[BusinessType],
) -> sqlx::Result<()> {
    let ids: Vec<i64> = types.iter().map(|kind| kind.id).collect();
    let titles: Vec<Option<String>> = types.iter().map(|kind| kind.title.clone()).collect();
    let groups: Vec<i64> = types.iter().map(|kind| kind.group_id).collect();
    let group_titles: Vec<Option<String>> = types.iter().map(|kind| kind.group_title.clone()).collect();
    let mut tx = pool.begin().await?;
    let which = Which {
        application,
        dictionary: Dictionary::BusinessTypes,
        country_id: None,
    };
    note_read(&mut tx, which).await?;
    sqlx::query!(
        "delete from business_types where application_id = $1 and type_id <> all($2)",
        application.0,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into business_types (application_id, type_id, title, group_id, group_title)
         select distinct on (id) $1, id, title, group_id, group_title
         from unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[]) as t(id, title, group_id, group_title)
         order by id
         on conflict (application_id, type_id) do update set title = excluded.title, group_id = excluded.group_id,
             group_title = excluded.group_title",
        application.0,
        &ids,
        &titles as &[Option<String>],
        &groups,
        &group_titles as &[Option<String>],
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// The kinds of business, group by group.
///
/// # Errors
/// When the database does not answer.
pub async fn business_types(pool: &PgPool, application: ApplicationId) -> sqlx::Result<Vec<BusinessType>> {
    sqlx::query_as!(
        BusinessType,
        "select type_id as id, title, group_id, group_title from business_types
         where application_id = $1 order by group_title, group_id, title, type_id",
        application.0
    )
    .fetch_all(pool)
    .await
}
