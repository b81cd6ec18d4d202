//! The load: so many connections, each of which sends its next delivery when the last one is acknowledged. One thread
//! carries all of them; it shares the machine with what is measured, as a proxy would.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use super::{http::Connection, payload::Delivery};

/// What is sent, and for how long.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    /// Before the measured stretch.
    pub(super) warm_up: Duration,
    /// The measured stretch.
    pub(super) span: Duration,
    /// The keys of the addresses.
    pub(super) keys: Arc<[String]>,
}

/// What became of it within the measured stretch.
pub(super) struct Heard {
    /// Acknowledgements in a second.
    pub(super) per_second: f64,
    /// How many they were.
    pub(super) acks: u64,
    /// Half of them came within so many milliseconds.
    pub(super) p50_ms: f64,
    /// All but a hundredth of them did.
    pub(super) p99_ms: f64,
}

/// A load that has begun.
pub(super) struct Running {
    thread: thread::JoinHandle<Result<Vec<u32>>>,
    begins: Instant,
    ends: Instant,
}

impl Load {
    /// Begins to send, in a thread of its own.
    pub(super) fn start(self) -> Result<Running> {
        let begins = Instant::now() + self.warm_up;
        let ends = begins + self.span;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(self.send(begins, ends)))?;
        Ok(Running { thread, begins, ends })
    }

    async fn send(self, begins: Instant, ends: Instant) -> Result<Vec<u32>> {
        let mut senders = JoinSet::new();
        for _ in 0..self.connections {
            let connection = Connection::open(self.address).await?;
            let delivery = Delivery::new(Arc::clone(&self.keys));
            senders.spawn(sender(connection, delivery, begins, ends));
        }
        let mut all = Vec::new();
        while let Some(latencies) = senders.join_next().await {
            all.append(&mut latencies.context("a sender")??);
        }
        Ok(all)
    }
}

/// Latencies in microseconds of what was acknowledged within the stretch.
async fn sender(
    mut connection: Connection,
    mut delivery: Delivery,
    begins: Instant,
    ends: Instant,
) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    let mut sent = Instant::now();
    while sent < ends {
        let status = connection.exchange(delivery.next()).await?;
        if status != 200 {
            bail!("a delivery was answered with {status}");
        }
        let now = Instant::now();
        if now >= begins && now < ends {
            latencies.push(u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX));
        }
        sent = now;
    }
    Ok(latencies)
}

impl Running {
    /// Returns when the measured stretch begins.
    pub(super) async fn begun(&self) {
        tokio::time::sleep_until(self.begins.into()).await;
    }

    /// Returns when it ends; the last answers may still be under way.
    pub(super) async fn over(&self) {
        tokio::time::sleep_until(self.ends.into()).await;
    }

    /// What was acknowledged, and how fast.
    pub(super) async fn heard(self) -> Result<Heard> {
        let seconds = (self.ends - self.begins).as_secs_f64();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        let Ok(latencies) = joined else {
            bail!("the thread of the load ended by a panic");
        };
        let mut latencies = latencies.context("sending the load")?;
        latencies.sort_unstable();
        if latencies.is_empty() {
            bail!("nothing was acknowledged");
        }
        let quantile = |part: usize| f64::from(latencies[(latencies.len() - 1) * part / 100]) / 1000.0;
        Ok(Heard {
            per_second: latencies.len() as f64 / seconds,
            acks: latencies.len() as u64,
            p50_ms: quantile(50),
            p99_ms: quantile(99),
        })
    }
}
