//! What goes wrong in a round.

use std::time::Duration;

use bellhop::sandbox::{Fault, FaultKind};
use fastrand::Rng;

use super::{
    cluster::Manner,
    plan::{Scale, moment},
    receiver::BadDay,
};

/// Something goes wrong. The number chooses a process.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    Kill(usize),
    KillTwice(usize, Duration),
    Terminate(usize),
    /// Longer than a lease, so that somebody else takes its work.
    Pause(usize, Duration),
    Postgres(Manner, Duration),
    Hang(Duration),
    Exhaust(Duration),
    /// It is away for so long; meanwhile a Bellhop is killed, and again while it brings in what it kept.
    AwayAndKill(usize, Duration),
    /// It is away, and the disk of a Bellhop takes so many bytes in a file and no more.
    NoRoom(usize, Duration, u64),
    /// Every transaction may only read, as on a server that became a standby.
    ReadOnly(Duration),
    /// Nothing can be written any more.
    DiskFull(Duration),
    CrashBackend,
    CutConnections,
    Marketplace(Fault),
    /// The receiver of relayed events treats so many requests like this.
    Receiver(BadDay, u32),
}

impl Trouble {
    /// Its row in the table.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Kill(_) => "Bellhop: SIGKILL".into(),
            Self::KillTwice(..) => "Bellhop: SIGKILL, and again while it recovers".into(),
            Self::Terminate(_) => "Bellhop: SIGTERM".into(),
            Self::Pause(..) => "Bellhop: stopped longer than its leases".into(),
            Self::Postgres(Manner::Immediate, _) => "PostgreSQL: immediate restart".into(),
            Self::Postgres(Manner::Fast, _) => "PostgreSQL: fast restart".into(),
            Self::Postgres(Manner::Smart, _) => "PostgreSQL: smart, then fast restart".into(),
            Self::Postgres(Manner::Killed, _) => "PostgreSQL: postmaster SIGKILLed".into(),
            Self::Hang(_) => "PostgreSQL: hangs".into(),
            Self::Exhaust(_) => "PostgreSQL: out of connections".into(),
            Self::AwayAndKill(..) => "PostgreSQL: away, and Bellhop SIGKILLed meanwhile and after".into(),
            Self::NoRoom(..) => "PostgreSQL: away, and the disk of the spool full".into(),
            Self::ReadOnly(_) => "PostgreSQL: read only".into(),
            Self::DiskFull(_) => "PostgreSQL: disk full".into(),
            Self::CrashBackend => "PostgreSQL: a backend SIGKILLed".into(),
            Self::CutConnections => "PostgreSQL: all sessions ended".into(),
            Self::Marketplace(fault) => {
                let word = serde_json::to_value(fault.kind).expect("a word");
                let word = word.as_str().unwrap_or_default().replace('_', " ");
                let detail = match fault.kind {
                    FaultKind::RateLimited if fault.retry_after.is_some() => ", with Retry-After",
                    FaultKind::DropConnection if fault.after_effect == Some(true) => " after the effect",
                    _ => "",
                };
                format!("marketplace: {word}{detail}")
            }
            Self::Receiver(day, _) => match day {
                BadDay::Status(status) => format!("receiver: {status}"),
                BadDay::Busy => "receiver: 429, with Retry-After".into(),
                BadDay::Cut { after: false } => "receiver: drop connection".into(),
                BadDay::Cut { after: true } => "receiver: drop connection after the effect".into(),
                BadDay::Silence { after: false, .. } => "receiver: silence".into(),
                BadDay::Silence { after: true, .. } => "receiver: silence after the effect".into(),
            },
        }
    }

    /// Whether a worker that lives may lose its jobs to another one.
    pub(crate) fn loses_leases(&self) -> bool {
        match self {
            Self::Pause(..)
            | Self::Postgres(..)
            | Self::Hang(_)
            | Self::Exhaust(_)
            | Self::AwayAndKill(..)
            | Self::NoRoom(..)
            | Self::ReadOnly(_)
            | Self::DiskFull(_) => true,
            Self::Kill(_)
            | Self::KillTwice(..)
            | Self::Terminate(_)
            | Self::CrashBackend
            | Self::CutConnections
            | Self::Marketplace(_)
            | Self::Receiver(..) => false,
        }
    }
}

/// Blows and bad days of a round, at their times.
pub(super) fn troubles(rng: &mut Rng, scale: Scale, processes: usize) -> Vec<(Duration, Trouble)> {
    let mut faults = Vec::new();
    // A deck, so that a round has many kinds and not one of them many times.
    let mut deck: Vec<u8> = Vec::new();
    for _ in 0..scale.blows {
        if deck.is_empty() {
            deck = (0..18).collect();
            rng.shuffle(&mut deck);
        }
        let which = rng.usize(..processes);
        let briefly = Duration::from_millis(rng.u64(..600));
        let longer = Duration::from_millis(rng.u64(500..2_500));
        let trouble = match deck.pop().unwrap_or(0) {
            0..=2 => Trouble::Kill(which),
            3 | 4 => Trouble::KillTwice(which, briefly),
            5 => Trouble::Terminate(which),
            6 => Trouble::Pause(which, Duration::from_millis(rng.u64(3_200..5_000))),
            7 | 8 => Trouble::Postgres(Manner::Immediate, briefly),
            9 => Trouble::Postgres(rng.choice([Manner::Fast, Manner::Smart]).expect("one"), briefly),
            10 => Trouble::Postgres(Manner::Killed, briefly),
            11 => Trouble::Hang(longer),
            12 => Trouble::Exhaust(longer),
            13 => Trouble::ReadOnly(longer),
            14 => Trouble::DiskFull(longer),
            15 => Trouble::AwayAndKill(which, longer),
            16 => Trouble::NoRoom(which, longer, rng.u64(..50_000)),
            _ if rng.bool() => Trouble::CrashBackend,
            _ => Trouble::CutConnections,
        };
        faults.push((moment(rng, 0.05, 0.9, scale.length), trouble));
    }
    for _ in 0..scale.bad_days {
        let trouble = Trouble::Marketplace(bad_day(rng));
        faults.push((moment(rng, 0.0, 0.9, scale.length), trouble));
    }
    for _ in 0..scale.bad_days / 2 {
        let trouble = Trouble::Receiver(receivers_bad_day(rng, scale), rng.u32(1..=6));
        faults.push((moment(rng, 0.0, 0.9, scale.length), trouble));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// In a long round it may be silent for longer than Bellhop waits; elsewhere it goes away before that.
fn receivers_bad_day(rng: &mut Rng, scale: Scale) -> BadDay {
    let after = rng.bool();
    let patience = if scale.length > Duration::from_secs(10) { 17 } else { 1 };
    match rng.u8(..7) {
        0 | 1 => BadDay::Status(503),
        2 => BadDay::Status(404),
        3 => BadDay::Busy,
        4 | 5 => BadDay::Cut { after },
        _ => BadDay::Silence {
            after,
            time: Duration::from_secs(rng.u64(1..=patience)),
        },
    }
}

fn bad_day(rng: &mut Rng) -> Fault {
    let calls = [
        "*",
        "voip",
        "status",
        "activate",
        "salons",
        "add_discount",
        "payment_link",
        "report_payment",
        "refund",
    ];
    let call = rng.choice(calls).expect("a call");
    let times = rng.u32(1..=4);
    let mut fault = match rng.u8(..13) {
        0 => Fault::new(call, FaultKind::RateLimited),
        1 => Fault::new(call, FaultKind::RateLimited).retry_after(1),
        2 => Fault::new(call, FaultKind::Status).status(rng.choice([500, 502, 503]).expect("one")),
        3 => Fault::new(call, FaultKind::Html),
        4 => Fault::new(call, FaultKind::Empty),
        5 => Fault::new(call, FaultKind::TimeoutAfterEffect),
        6 => Fault::new(call, FaultKind::TimeoutBefore),
        7 => Fault::new(call, FaultKind::DropConnection),
        8 => Fault::new(call, FaultKind::DropConnection).after_effect(true),
        9 => Fault::new(call, FaultKind::MetaList),
        10 => Fault::new("inbox", FaultKind::Status).status(503),
        11 => Fault::new("callback", FaultKind::Duplicate),
        _ => Fault::new("callback", FaultKind::Lost),
    };
    // Longer than Bellhop waits.
    fault.hang_seconds = Some(2);
    fault.times(times)
}
