use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{error, info, warn};

use super::spool::{Chunk, Content, Spool, Trouble};
use crate::store::events::Delivery;

/// The spool as tasks use it: the disk is waited for elsewhere, and what is in it is known at once.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Inner>);

struct Inner {
    spool: Mutex<Spool>,
    content: Mutex<Content>,
    /// Why it did not take what it was last given.
    trouble: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    pub(super) fn new(spool: Spool) -> Self {
        Self(Arc::new(Inner {
            content: Mutex::new(spool.content()),
            spool: Mutex::new(spool),
            trouble: Mutex::new(None),
        }))
    }

    pub(super) fn content(&self) -> Content {
        *lock(&self.0.content)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.content().events == 0
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.0.trouble).clone()
    }

    /// Puts deliveries behind all others. So many of them, from the first, are durable.
    pub(super) async fn append(&self, deliveries: Vec<Delivery>) -> usize {
        let appended = self.on_disk(move |spool| Ok(spool.append(&deliveries))).await;
        let (durable, trouble) = appended.unwrap_or_else(|error| (0, Some(Trouble::Disk(error))));
        match trouble {
            Some(trouble) => self.troubled(trouble.to_string()),
            None => self.fine(),
        }
        durable
    }

    fn troubled(&self, why: String) {
        if lock(&self.0.trouble).replace(why.clone()).is_none() {
            error!(why, "The spool takes no deliveries; they are answered 503");
        }
    }

    /// There is room again.
    pub(super) fn fine(&self) {
        if lock(&self.0.trouble).take().is_some() {
            info!("The spool takes deliveries again");
        }
    }

    /// The oldest deliveries; the same ones until [`Shelf::done`].
    pub(super) async fn next(&self) -> io::Result<Option<Chunk>> {
        self.on_disk(Spool::next).await
    }

    /// Takes a chunk out. What no database takes is kept for people first.
    pub(super) async fn done(&self, chunk: Chunk, refused: Vec<Delivery>) -> io::Result<()> {
        self.on_disk(move |spool| {
            if !refused.is_empty() || !chunk.unreadable.is_empty() {
                error!(
                    refused = refused.len(),
                    unreadable = chunk.unreadable.len(),
                    "Deliveries of the spool that cannot be stored are kept as a file in its folder"
                );
                spool.keep_refused(&refused, &chunk.unreadable)?;
            }
            spool.done(&chunk);
            Ok(())
        })
        .await
    }

    /// Looks for what processes left that have ended.
    pub(super) async fn adopt(&self) {
        if let Err(error) = self.on_disk(Spool::adopt).await {
            warn!(%error, "The spool's folder could not be looked through");
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = Arc::clone(&self.0);
        let work = move || {
            let mut spool = lock(&inner.spool);
            let result = work(&mut spool);
            *lock(&inner.content) = spool.content();
            result
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
