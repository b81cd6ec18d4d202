//! Every metric, in one struct. Counters and histograms are touched where things happen; gauges that
//! describe the database are read from it when Prometheus asks, so that an empty queue reads zero.
//!
//! Labels are closed sets: application numbers and rule names come from the configuration, and no
//! location, client or text from outside ever becomes a label.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, proto::MetricFamily,
};

const FAST_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const SLOW_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Declares the struct and registers every field; the doc comment is the help text.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ident $([$($label:literal),+])? $(= $buckets:ident)?;)+) => {
        /// All metrics of a process, with the prefix `bellhop_`.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        impl Metrics {
            /// Registers all of them.
            ///
            /// # Panics
            /// Never: the names are fixed and differ.
            pub fn new() -> Self {
                let registry = Registry::new();
                $(let $field = {
                    let name = concat!("bellhop_", stringify!($field));
                    let help = [$($help),+].join(" ");
                    let metric = metrics!(@make $type, name, help.trim() $(, [$($label),+])? $(, $buckets)?);
                    registry.register(Box::new(metric.clone())).expect("names differ");
                    metric
                };)+
                let process = prometheus::process_collector::ProcessCollector::for_self();
                registry.register(Box::new(process)).expect("registered once");
                Self { registry, $($field),+ }
            }
        }
    };
    (@make IntCounterVec, $name:expr, $help:expr, [$($label:literal),+]) => {
        IntCounterVec::new(Opts::new($name, $help), &[$($label),+]).expect("valid")
    };
    (@make CounterVec, $name:expr, $help:expr, [$($label:literal),+]) => {
        CounterVec::new(Opts::new($name, $help), &[$($label),+]).expect("valid")
    };
    (@make IntGaugeVec, $name:expr, $help:expr, [$($label:literal),+]) => {
        IntGaugeVec::new(Opts::new($name, $help), &[$($label),+]).expect("valid")
    };
    (@make GaugeVec, $name:expr, $help:expr, [$($label:literal),+]) => {
        GaugeVec::new(Opts::new($name, $help), &[$($label),+]).expect("valid")
    };
    (@make HistogramVec, $name:expr, $help:expr, [$($label:literal),+], $buckets:ident) => {
        HistogramVec::new(HistogramOpts::new($name, $help).buckets($buckets.to_vec()), &[$($label),+]).expect("valid")
    };
    (@make Histogram, $name:expr, $help:expr, $buckets:ident) => {
        Histogram::with_opts(HistogramOpts::new($name, $help).buckets($buckets.to_vec())).expect("valid")
    };
    (@make $type:ident, $name:expr, $help:expr) => { $type::new($name, $help).expect("valid") };
}

metrics! {
    /// Deliveries by what became of them: accepted, duplicate, rejected, quarantined, dropped, refused, unavailable.
    deliveries_total: IntCounterVec["application", "kind", "result"];
    /// Time from reading a delivery to its durable acknowledgement.
    delivery_ack_seconds: Histogram = FAST_SECONDS;
    /// Deliveries written by one commit.
    group_commit_deliveries: Histogram = SIZES;
    /// Deliveries that wait to be written.
    intake_queued: IntGauge;
    /// Deliveries that wait on this machine's disk for the database.
    spool_events: IntGauge;
    /// Bytes they take there.
    spool_bytes: IntGauge;
    /// Bytes they may take there; 0 without a spool.
    spool_limit_bytes: IntGauge;
    /// Age of the oldest of them.
    spool_oldest_seconds: Gauge;
    /// Files of the spool that could not be stored or read, and wait for people.
    spool_set_aside_files: IntGauge;
    /// Events stored, by how they were learnt.
    events_total: IntCounterVec["application", "kind", "source"];
    /// Time from an event's becoming durable to its being judged.
    event_lag_seconds: Histogram = SLOW_SECONDS;
    /// Moments that have come and were not announced yet.
    moments_due: IntGauge;
    /// Events judged, by the state they ended in.
    events_judged_total: IntCounterVec["application", "state"];
    /// Events nobody has judged yet.
    events_unprocessed: IntGauge;
    /// Age of the oldest of them.
    events_oldest_unprocessed_seconds: Gauge;
    /// Installations by status.
    installations: IntGaugeVec["application", "status"];
    /// Changes of status, by how they were learnt.
    installation_transitions_total: IntCounterVec["application", "from", "to", "source"];
    /// Seconds left of the safe deadline of the connection that has waited longest for its activation; infinite when none waits.
    activation_deadline_seconds: GaugeVec["application"];
    /// Active installations by what they live on: trial, paid, or other when neither is known to run.
    active_installations: IntGaugeVec["application", "stage"];
    /// Trials of active installations that end within seven days and have not been paid for.
    trials_ending_soon: IntGaugeVec["application"];
    /// Trials that ended within the last 30 days: paid; unpaid, when the installation is still there; left, when not.
    trials_ended: IntGaugeVec["application", "outcome"];
    /// Connections that were paid for the first time.
    conversions_total: IntCounterVec["application"];
    /// Payments that were learnt of, by currency: received, refunded.
    payments_total: IntCounterVec["application", "currency", "result"];
    /// What they come to, in major units of the currency.
    payments_amount_total: CounterVec["application", "currency", "result"];
    /// Discounts that rules set.
    discounts_set_total: IntCounterVec["application"];
    /// Links to pay by that rules made.
    payment_links_total: IntCounterVec["application"];
    /// Decisions about rules: fired, skipped, shadow (would have fired, and is only watched), or held beyond the cap.
    firings_total: IntCounterVec["application", "rule", "result"];
    /// Why rules were skipped: condition (it does not hold), condition_failed, before (it has fired), late, over, off.
    rule_skips_total: IntCounterVec["application", "rule", "reason"];
    /// Firings beyond the cap of their rule that wait for a person.
    firings_held: IntGaugeVec["application", "rule"];
    /// Tries to replace the rules while the service runs: loaded, refused for a mistake, or failed.
    rules_reloads_total: IntCounterVec["result"];
    /// Whether the last of these tries left the rules before in use: 1 when it did.
    rules_refused: IntGauge;
    /// When the rules in use were loaded.
    rules_loaded_timestamp_seconds: Gauge;
    /// Jobs in the queue.
    jobs: IntGaugeVec["state", "action"];
    /// Jobs given up within the last day.
    jobs_discarded_last_day: IntGaugeVec["action"];
    /// Calls that move money and have not come to their end: `intended`, or `unknown` whether they happened.
    ledger_entries: IntGaugeVec["state"];
    /// How late the oldest due job is, events to be forwarded aside.
    job_oldest_due_seconds: Gauge;
    /// Events that wait to be forwarded.
    forwarding_waiting: IntGaugeVec["application", "rule"];
    /// How long the oldest of them has waited.
    forwarding_oldest_seconds: GaugeVec["application", "rule"];
    /// Whether this process leaves the receiver of a rule's events alone because it does not answer: 1 while it does.
    forwarding_receiver_down: IntGaugeVec["application", "rule"];
    /// Starts of jobs by how they ended.
    job_attempts_total: IntCounterVec["application", "action", "outcome"];
    /// Time a job took, budget included.
    job_duration_seconds: HistogramVec["action"] = SLOW_SECONDS;
    /// Requests to the marketplace by answer: a status code, or what went wrong instead.
    marketplace_requests_total: IntCounterVec["call", "status"];
    /// Time from request to answer.
    marketplace_request_seconds: HistogramVec["call"] = SLOW_SECONDS;
    /// Time requests waited for their turn in the shared budget.
    marketplace_budget_wait_seconds: Histogram = SLOW_SECONDS;
    /// Turns of the shared budget that were granted, by what they were for: activation, rule, unproven, reconciliation.
    marketplace_budget_spent_total: IntCounterVec["account", "priority"];
    /// Requests a minute that the shared budget grants at most.
    marketplace_budget_per_minute: IntGaugeVec["account"];
    /// Rounds of comparing with the marketplace: complete; incomplete, when some places could not be looked at;
    /// interrupted, when it was given up for a while.
    reconcile_runs_total: IntCounterVec["application", "result"];
    /// What comparing found that nobody had told, by the kind of event it became.
    reconcile_differences_total: IntCounterVec["application", "kind"];
    /// When the last round began that found out about every place; 0 before the first.
    reconcile_last_success_timestamp_seconds: GaugeVec["application"];
    /// Active installations whose webhook settings were read, by what they said: registered, former, missing, refused.
    hooks: IntGaugeVec["application", "state"];
    /// Whether requests for an account are held back because the marketplace does not answer: 1 while they are.
    circuit_state: IntGaugeVec["account"];
    /// Connections to the database.
    database_pool_connections: IntGaugeVec["state"];
    /// Whether the database answered when the metrics were read: 1 also when it was too slow to tell its figures.
    database_up: IntGauge;
    /// When the figures of the database (installations, queues, ledger, holds) were last read; when reading them takes more
    /// than 3 s they keep their last values.
    figures_last_read_timestamp_seconds: Gauge;
    /// Workers that this process is to run; 0 when it only takes deliveries.
    workers: IntGauge;
    /// When a worker last finished a step, successfully or idle.
    worker_last_step_timestamp_seconds: GaugeVec["worker"];
    /// Steps of workers that failed.
    worker_errors_total: IntCounterVec["worker"];
    /// Old partitions that were dropped.
    partitions_dropped_total: IntCounter;
    /// Places whose personal data was taken away because they were uninstalled long ago, or never connected.
    places_erased_total: IntCounter;
    /// Size of each table with its indexes, a partitioned one with all its days. Read every ten minutes.
    table_bytes: IntGaugeVec["table"];
    /// Rows of each table that are gone and still take room. Read every ten minutes.
    table_dead_rows: IntGaugeVec["table"];
    /// How long the oldest transaction on the database has kept deleted rows from being cleaned up. Read every ten minutes.
    database_oldest_snapshot_seconds: Gauge;
    /// Always 1; the labels tell what is running.
    build_info: IntGaugeVec["version", "revision"];
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        encoder
            .encode(&self.registry.gather(), &mut text)
            .expect("memory does not fail");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Seconds since a worker finished a step; `None` before its first.
    pub fn seconds_since_step(&self, worker: &str) -> Option<f64> {
        // Asked for by its label it would come into being, with a first step in 1970.
        let all = self.worker_last_step_timestamp_seconds.collect();
        let mut all = all.iter().flat_map(MetricFamily::get_metric);
        let its = all.find(|one| one.get_label().iter().any(|label| label.value() == worker))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Some(now.as_secs_f64() - its.get_gauge().get_value())
    }

    /// Notes that a worker finished a step.
    pub fn stepped(&self, worker: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.worker_last_step_timestamp_seconds
            .with_label_values(&[worker])
            .set(now.as_secs_f64());
    }
}
