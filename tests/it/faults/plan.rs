//! What happens in a round, all of it decided by a seed before anything begins.

use std::time::Duration;

use bellhop::{
    domain::{
        ids::{ApplicationId, LocationId, Place},
        signature::{application_hook_key, calls_key, hook_key},
    },
    sandbox::Limits,
};
use fastrand::Rng;
use serde_json::json;

use super::{
    process::fake_time,
    troubles::{Trouble, troubles},
    world::{RECEPTION, SYSTEM},
};
use crate::service::stage::{APP, HOOK_SECRET, SIBLING};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Different entity events.
    pub(crate) events: usize,
    /// Locations; each has both applications.
    pub(crate) locations: i64,
    /// How long requests come and faults happen.
    pub(crate) length: Duration,
    /// Blows against Bellhop and PostgreSQL.
    pub(crate) blows: usize,
    /// Faults ordered of the marketplace.
    pub(crate) bad_days: usize,
}

/// A round.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// The clock of each process is off by so many seconds.
    pub(crate) clocks: Vec<i64>,
    /// What may be asked of the marketplace.
    pub(crate) limits: Limits,
    /// Where Bellhop keeps deliveries while the database is away.
    pub(crate) spool: Spool,
    pub(crate) requests: Vec<Request>,
    pub(crate) lives: Vec<Life>,
    pub(crate) faults: Vec<(Duration, Trouble)>,
    /// When people release firings that are held, each time two at once.
    pub(crate) releases: Vec<Release>,
    /// So long after the last request and the last blow the marketplace has bad days.
    pub(crate) lull: Duration,
    /// At the end so much time passes at once, and Bellhop dies while it does.
    pub(crate) passes: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spool {
    /// One folder for all processes.
    pub(crate) shared: bool,
    /// It is soon full.
    pub(crate) small: bool,
}

/// Somebody releases what is held, and so does somebody else at another process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) at: Duration,
    pub(crate) application: i64,
    /// At most so many each.
    pub(crate) limit: u32,
}

/// One HTTP request of the marketplace, or of a telephony system.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Duration,
    pub(crate) application: i64,
    pub(crate) path: String,
    /// The location of the address; none when it is for all locations.
    pub(crate) location: Option<i64>,
    pub(crate) hook_id: Option<String>,
    pub(crate) elements: Vec<Element>,
    /// Whether they are wrapped in a list.
    pub(crate) list: bool,
}

/// One thing that a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) location: i64,
    pub(crate) text: String,
}

/// What an owner does with an application.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) place: (i64, i64),
    pub(crate) acts: Vec<(Duration, Act)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Connect,
    Freeze,
    Pay,
    Disconnect,
}

/// The limits of the marketplace for one address (contract 4).
pub(crate) const REAL: Limits = Limits {
    per_second: 5,
    per_minute: 200,
    retry_after: true,
};

const WIDE: Limits = Limits {
    per_second: 1000,
    per_minute: 60_000,
    retry_after: true,
};

impl Plan {
    /// The round of a seed.
    pub(crate) fn new(seed: u64, scale: Scale) -> Self {
        let mut rng = Rng::with_seed(seed);
        let real = rng.u8(..4) == 0;
        // 3.3 requests a second do not do much.
        let locations = if real { 2 } else { scale.locations };
        let mut plan = Self::quiet(&mut rng, scale, locations);
        plan.seed = seed;
        plan.limits = if real { REAL } else { WIDE };
        plan.clocks = clocks(&mut rng);
        plan.spool = Spool {
            shared: rng.bool(),
            small: rng.u8(..3) == 0,
        };
        plan.lull = scale.length / 5;
        plan.faults = troubles(&mut rng, scale, plan.clocks.len());
        plan.releases = (0..2 + scale.blows / 5)
            .map(|n| Release {
                at: moment(&mut rng, 0.5, 1.0, scale.length),
                application: [APP, SIBLING][n % 2],
                limit: rng.u32(1..=20),
            })
            .collect();
        plan.passes = (rng.u8(..3) == 0).then_some(Duration::from_secs(16 * 24 * 60 * 60));
        plan
    }

    /// Traffic and nothing else.
    pub(crate) fn quiet(rng: &mut Rng, scale: Scale, locations: i64) -> Self {
        let places: Vec<(i64, i64)> = (1..=locations)
            .flat_map(|location| [(APP, location), (SIBLING, location)])
            .collect();
        Self {
            seed: 0,
            clocks: vec![0],
            limits: WIDE,
            spool: Spool::default(),
            requests: requests(rng, scale, &places),
            lives: places.iter().map(|place| life(rng, scale, *place)).collect(),
            faults: Vec::new(),
            releases: Vec::new(),
            lull: Duration::ZERO,
            passes: None,
        }
    }

    /// How long is waited for the last work, when this is enough without the marketplace's real limits.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        if self.limits.per_minute == REAL.per_minute {
            usual * 2
        } else {
            usual
        }
    }

    /// Whether somebody may go on with a job that was taken away.
    pub(crate) fn loses_leases(&self) -> bool {
        self.faults.iter().any(|(_, trouble)| trouble.loses_leases())
    }

    /// Whether a process stands still for longer than it waits for the head of a request.
    pub(crate) fn stands_still(&self) -> bool {
        let pauses = |trouble: &Trouble| matches!(trouble, Trouble::Pause(..));
        self.faults.iter().any(|(_, trouble)| pauses(trouble))
    }
}

/// One to three processes; sometimes one of several lives in another hour.
fn clocks(rng: &mut Rng) -> Vec<i64> {
    let mut clocks = vec![0; rng.usize(1..=3)];
    if clocks.len() > 1 && rng.bool() && fake_time().is_some() {
        clocks[1] = if rng.bool() { 7_200 } else { -7_200 };
    }
    clocks
}

/// Some moment between two parts of a time.
pub(super) fn moment(rng: &mut Rng, from: f64, to: f64, length: Duration) -> Duration {
    length.mul_f64(from + (to - from) * rng.f64())
}

fn requests(rng: &mut Rng, scale: Scale, places: &[(i64, i64)]) -> Vec<Request> {
    let mut elements: Vec<(i64, Element)> = (0..scale.events).map(|n| element(rng, n, places)).collect();
    // The same inside other requests, for which the requests have no name in common.
    for _ in 0..scale.events / 20 {
        let again = rng.choice(&elements).cloned();
        elements.extend(again);
    }
    rng.shuffle(&mut elements);
    let mut requests = Vec::new();
    // Half of what happens comes in lists, through the address for all locations of an application.
    let single = elements.split_off(elements.len() / 2);
    for application in [APP, SIBLING] {
        let mut of_application = elements
            .iter()
            .filter(|(of, _)| *of == application)
            .map(|(_, one)| one)
            .peekable();
        while of_application.peek().is_some() {
            let some: Vec<Element> = of_application.by_ref().take(rng.usize(1..=10)).cloned().collect();
            requests.push(Request::to_all(rng, application, some));
        }
    }
    requests.extend(
        single
            .into_iter()
            .map(|(application, one)| Request::to_one(rng, application, one)),
    );
    requests.extend((0..scale.events / 50).map(|n| odd(rng, n, places)));
    requests.extend((0..scale.events / 60 + 1).flat_map(|n| call(rng, n)));
    let repeated = requests.len() / 5;
    for _ in 0..repeated {
        let Some(mut again) = rng.choice(&requests).cloned() else {
            break;
        };
        // Sometimes the sender gives the same another name.
        if rng.u8(..4) == 0 && again.hook_id.is_some() {
            again.hook_id = Some(name(rng));
        }
        requests.push(again);
    }
    rng.shuffle(&mut requests);
    for request in &mut requests {
        request.at = moment(rng, 0.0, 1.0, scale.length);
    }
    requests.sort_by_key(|request| request.at);
    requests
}

fn name(rng: &mut Rng) -> String {
    format!("{:032x}", rng.u128(..))
}

impl Request {
    fn to_one(rng: &mut Rng, application: i64, element: Element) -> Self {
        let location = element.location;
        let place = Place {
            application_id: ApplicationId(application),
            location_id: LocationId(location),
        };
        let key = hook_key(HOOK_SECRET, place);
        Self {
            at: Duration::ZERO,
            application,
            path: format!("apps/{application}/hooks/{location}/{key}"),
            location: Some(location),
            hook_id: rng.bool().then(|| name(rng)),
            elements: vec![element],
            list: false,
        }
    }

    fn to_all(rng: &mut Rng, application: i64, elements: Vec<Element>) -> Self {
        let key = application_hook_key(HOOK_SECRET, ApplicationId(application));
        Self {
            at: Duration::ZERO,
            application,
            path: format!("apps/{application}/hooks/{key}"),
            location: None,
            hook_id: rng.bool().then(|| name(rng)),
            elements,
            list: true,
        }
    }

    /// Whether what it says comes from whom it should.
    pub(crate) fn is_genuine(&self) -> bool {
        !self.path.ends_with("not-the-key")
    }

    /// Whether a telephony system sends it.
    pub(crate) fn is_call(&self) -> bool {
        self.path.contains("/calls/")
    }

    /// What is sent.
    pub(crate) fn body(&self) -> String {
        let texts: Vec<&str> = self.elements.iter().map(|element| element.text.as_str()).collect();
        if self.list {
            format!("[{}]", texts.join(","))
        } else {
            texts.concat()
        }
    }
}

fn element(rng: &mut Rng, n: usize, places: &[(i64, i64)]) -> (i64, Element) {
    let (application, location) = *rng.choice(places).expect("places");
    let (resource, status) = match rng.u8(..20) {
        0..=6 => ("record", "create"),
        7..=12 => ("record", "update"),
        13 => ("record", "delete"),
        14 => ("client", "create"),
        15..=17 => ("finances_operation", "update"),
        18 => ("schedule", "update"),
        _ => ("novelty", "create"),
    };
    let padding: String = (0..rng.usize(..1500)).map(|_| rng.alphanumeric()).collect();
    let id = 1_000 + n;
    let mut data = json!({"id": id, "attendance": rng.i8(-1..=1), "comment": padding});
    // Some say when they changed, as the firing key prefers it; of others only the bytes tell.
    if rng.bool() {
        data["last_change_date"] = json!(format!("2026-11-{:02}T10:00:{:02}+0000", 1 + n % 28, n % 60));
    }
    let text = json!({
        "company_id": location,
        "resource": resource,
        "resource_id": id,
        "status": status,
        "data": data,
    });
    let text = text.to_string();
    (application, Element { location, text })
}

/// What nobody understands, or what comes with a wrong key. It is kept too.
fn odd(rng: &mut Rng, n: usize, places: &[(i64, i64)]) -> Request {
    let (application, location) = *rng.choice(places).expect("places");
    let text = match rng.u8(..3) {
        0 => format!("not JSON at all, number {n}"),
        1 => json!({"something": "else", "number": n}).to_string(),
        _ => json!({"company_id": location, "resource": "record", "resource_id": n, "status": "create"}).to_string(),
    };
    let mut request = Request::to_one(rng, application, Element { location, text });
    if rng.bool() {
        request.path = format!("apps/{application}/hooks/{location}/not-the-key");
    }
    request
}

/// A telephone call that is over; before that the phone may have rung, which is told at the same time as everything.
fn call(rng: &mut Rng, n: usize) -> Vec<Request> {
    let key = calls_key(HOOK_SECRET, ApplicationId(APP), SYSTEM);
    let direction = rng.choice(["incoming", "outgoing", "internal"]).expect("one");
    let mut call = json!({
        "call_id": format!("call-{n}"), "state": "ended", "direction": direction, "from": format!("+1555{n:07}"), "to": "100",
        "started_at": "2026-06-01T09:05:00+03:00", "duration_seconds": n, "answered": n > 0,
    });
    let mut texts = vec![call.to_string()];
    if rng.bool() {
        call["state"] = json!("ringing");
        texts.push(call.to_string());
    }
    let request = |text| Request {
        at: Duration::ZERO,
        application: APP,
        path: format!("apps/{APP}/calls/{key}"),
        location: Some(RECEPTION),
        hook_id: None,
        elements: vec![Element {
            location: RECEPTION,
            text,
        }],
        list: false,
    };
    texts.into_iter().map(request).collect()
}

fn life(rng: &mut Rng, scale: Scale, place: (i64, i64)) -> Life {
    let mut acts = vec![(moment(rng, 0.0, 0.4, scale.length), Act::Connect)];
    for _ in 0..rng.usize(..5) {
        let after = moment(rng, 0.05, 0.25, scale.length);
        let act = match rng.u8(..6) {
            0 | 1 => Act::Connect,
            2 => Act::Freeze,
            3 | 4 => Act::Pay,
            _ => Act::Disconnect,
        };
        acts.push((after, act));
        if act == Act::Disconnect && rng.u8(..4) > 0 {
            acts.push((moment(rng, 0.0, 0.1, scale.length), Act::Connect));
        }
    }
    Life { place, acts }
}
