//! Marks that rules set on an application at a location. They stay when it is disconnected.

use std::collections::HashMap;

use sqlx::{PgPool, PgTransaction};

use crate::domain::ids::{ApplicationId, LocationId, Place};

/// The marks of some places, each in the order of the alphabet. A place without any is not there.
///
/// # Errors
/// When the database does not answer.
pub async fn read(tx: &mut PgTransaction<'_>, places: &[Place]) -> sqlx::Result<HashMap<Place, Vec<String>>> {
    let (applications, locations): (Vec<i64>, Vec<i64>) = places
        .iter()
        .map(|place| (place.application_id.0, place.location_id.0))
        .unzip();
    let rows = sqlx::query!(
        r#"select t.application_id, t.location_id, t.tag
           from unnest($1::bigint[], $2::bigint[]) as w(application_id, location_id)
           join tags t using (application_id, location_id) order by t.application_id, t.location_id, t.tag"#,
        &applications,
        &locations
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut tags: HashMap<Place, Vec<String>> = HashMap::new();
    for row in rows {
        let place = Place {
            application_id: ApplicationId(row.application_id),
            location_id: LocationId(row.location_id),
        };
        tags.entry(place).or_default().push(row.tag);
    }
    Ok(tags)
}

/// The marks of one place.
///
/// # Errors
/// When the database does not answer.
pub async fn of(pool: &PgPool, place: Place) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select tag from tags where application_id = $1 and location_id = $2 order by tag",
        place.application_id.0,
        place.location_id.0
    )
    .fetch_all(pool)
    .await
}

/// Sets a mark for a rule, or takes it away. One that is there already stays as it is.
///
/// # Errors
/// When the database does not answer.
pub async fn set(
    tx: &mut PgTransaction<'_>,
    place: Place,
    (tag, present): (&str, bool),
    rule: Option<&str>,
) -> sqlx::Result<()> {
    if present {
        sqlx::query!(
            "insert into tags (application_id, location_id, tag, rule) values ($1, $2, $3, $4) on conflict do nothing",
            place.application_id.0,
            place.location_id.0,
            tag,
            rule
        )
        .execute(&mut **tx)
        .await?;
    } else {
        sqlx::query!(
            "delete from tags where application_id = $1 and location_id = $2 and tag = $3",
            place.application_id.0,
            place.location_id.0,
            tag
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
