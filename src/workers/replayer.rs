//! Has events judged once more that a person asked for. Beside the processor, so that a replay of many events stands in
//! nobody's way; never at the same time as it in one shard, so that no installation moves meanwhile.

use anyhow::Result;
use tracing::error;

use super::{Step, is_transient, judge::judge_again};
use crate::{
    app::App,
    store::{
        inbox,
        replays::{self, Ended},
    },
};

/// Events in one transaction: few, because the events of their shard wait for it.
const BATCH: i64 = 200;

/// Judges a batch of one shard.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    let Some(shard) = replays::shard_with_work(&app.pool).await? else {
        return Ok(Step::Idle);
    };
    match batch(app, shard, BATCH).await {
        Ok(()) => Ok(Step::Worked),
        Err(error) if is_transient(&error) => Err(error),
        // One of them is the reason; alone it stops nobody.
        Err(_) => one_by_one(app, shard).await,
    }
}

async fn batch(app: &App, shard: i16, limit: i64) -> Result<()> {
    let (_until_committed, rules) = app.rulebook.held().await;
    let mut tx = app.pool.begin().await?;
    inbox::hold(&mut tx, shard).await?;
    let taken = replays::take(&mut tx, shard, limit).await?;
    let judgement = judge_again(app, &rules, &mut tx, taken).await?;
    tx.commit().await?;
    judgement.count_rulings(app);
    if judgement.has_jobs {
        app.wake.executor.notify_one();
    }
    Ok(())
}

async fn one_by_one(app: &App, shard: i16) -> Result<Step> {
    for _ in 0..BATCH {
        match batch(app, shard, 1).await {
            Ok(()) => {}
            Err(error) if is_transient(&error) => return Err(error),
            Err(error) => {
                give_up(app, shard, &error).await?;
                return Ok(Step::Worked);
            }
        }
    }
    Ok(Step::Worked)
}

async fn give_up(app: &App, shard: i16, why: &anyhow::Error) -> Result<()> {
    let mut tx = app.pool.begin().await?;
    inbox::hold(&mut tx, shard).await?;
    for again in replays::take(&mut tx, shard, 1).await? {
        let note = format!("it could not be judged: {why:#}");
        error!(event_id = %again.event_id, replay = again.replay, error = note, "An event could not be judged once more");
        let ended = Ended {
            replay: again.replay,
            event_id: again.event_id,
            received_at: None,
            note: Some(note),
            decisions: Vec::new(),
        };
        replays::settle(&mut tx, &[ended]).await?;
    }
    tx.commit().await?;
    Ok(())
}
