//! While the spool is not empty: deliveries go behind it, and it is emptied from its front. One task
//! does both, so it knows for certain when nothing is left that could be overtaken.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{BATCH, Batch, Standing, Statement, Waiting, Writer, split_repeats, statement::Written};
use crate::intake::shelf::Shelf;

/// Pauses between tries while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Nobody waits for what comes out of the spool, and after an outage the database may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

impl Writer {
    /// Until the spool is empty. Returns whether there is a queue still.
    ///
    /// Away, deliveries are put into the spool as they come. When the database is back, one batch is put
    /// in for each larger chunk that is taken out: so the spool gets empty however many come.
    pub(super) async fn behind(&mut self, spool: &Shelf, queue: &mut mpsc::Receiver<Waiting>) -> bool {
        let patience = self.patience;
        let mut pause = FIRST_PAUSE;
        // What a former process left is tried at once.
        let first = match self.standing {
            Standing::Away => pause,
            Standing::Fine | Standing::Emptying => Duration::ZERO,
        };
        let (mut begins, mut back, mut took) = (Instant::now() + first, false, false);
        let mut trial: Option<JoinHandle<Result<(), String>>> = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if trial.is_none() && spool.is_empty() {
                self.change(Standing::Fine, "");
                return true;
            }
            let full = back && took && Instant::now() < begins + patience;
            tokio::select! {
                count = queue.recv_many(&mut batch, BATCH), if !full => {
                    if count == 0 {
                        return false;
                    }
                    took = true;
                    self.taken(&batch);
                    let batch = Batch::of(std::mem::take(&mut batch));
                    let answers = self.keep(batch.late(|_| true)).await;
                    batch.answer(answers);
                }
                () = sleep_until(begins), if trial.is_none() => {
                    begins = Instant::now();
                    trial = Some(tokio::spawn(empty(Arc::clone(&self.statement), spool.clone())));
                }
                ended = ended(&mut trial) => {
                    (trial, took) = (None, false);
                    match ended {
                        Ok(()) => {
                            (back, pause) = (true, FIRST_PAUSE);
                            begins = Instant::now();
                            self.change(Standing::Emptying, "");
                            self.wake.notify_one();
                        }
                        Err(why) => {
                            back = false;
                            begins = Instant::now() + pause;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                            self.change(Standing::Away, &why);
                        }
                    }
                }
                () = sleep_until(begins + patience), if full => {}
            }
        }
    }
}

async fn ended(trial: &mut Option<JoinHandle<Result<(), String>>>) -> Result<(), String> {
    match trial {
        Some(trial) => trial.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

/// Brings the oldest deliveries of the spool into the database, and takes them out of the spool only
/// then. After a crash in between, their keys tell that they are there.
async fn empty(statement: Arc<Statement>, spool: Shelf) -> Result<(), String> {
    let Some(chunk) = spool
        .next()
        .await
        .map_err(|error| format!("the spool cannot be read: {error}"))?
    else {
        return Ok(());
    };
    let (deliveries, _) = split_repeats(chunk.deliveries.clone(), |delivery| delivery.key);
    let (written, away) = statement.write(&deliveries, PATIENCE).await;
    if let Some(why) = away {
        return Err(why);
    }
    let refused = deliveries
        .into_iter()
        .zip(written)
        .filter(|(_, written)| *written == Written::Refused);
    let refused: Vec<_> = refused.map(|(delivery, _)| delivery).collect();
    spool
        .done(chunk, refused)
        .await
        .map_err(|error| format!("the spool cannot be written: {error}"))
}
