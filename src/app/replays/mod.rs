//! Stored events that a person wants to have judged once more. A replay judges and does not move: what an event says
//! about an installation was applied when it was judged first. Events that could not be judged go back into the inbox;
//! of deliveries that were refused new events are made, when they are recognised now.

mod court;
mod foresight;
mod refused;
mod report;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    court::{Court, Ruling, Terms},
    report::{Item, Report, WouldRule},
};
use super::{App, rulebook::Rules};
use crate::{
    domain::{
        event::{Fact, Kind, State},
        ids::EventId,
    },
    store::{
        self, PgPool, PgTransaction,
        events::{self, Delivery},
        inbox::Waiting,
        looking::NotSeen,
        past,
        replays::{self, Filter, Stored},
    },
};

/// Events read at once.
const PAGE: i64 = 500;

/// Events that are told one by one; the others are only counted.
const TOLD: usize = 1_000;

/// Events of one replay, when nobody says how many.
pub const USUAL: i64 = 1_000;

/// The most events of one replay.
pub const MOST: i64 = 100_000;

/// The longest key of a request, in characters.
pub const KEY_LENGTH: usize = 200;

/// Why nothing is done with a request that was made before.
const ASKED_BEFORE: &str = "a replay was asked for with this key before";

/// The most events that are looked at for one request, whatever becomes of them.
const AT_ONCE: i64 = 20_000;

/// Which events, and on what terms.
#[derive(Debug, Default, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// These, in whatever state they are.
    pub ids: Vec<i64>,
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// Of one kind.
    pub kind: Option<String>,
    /// In one state; without it `processed` and `failed`.
    #[schemars(with = "Option<State>")]
    pub state: Option<String>,
    /// Received at or after.
    pub since: Option<DateTime<Utc>>,
    /// Received before.
    pub until: Option<DateTime<Utc>>,
    /// After this number.
    pub after: Option<i64>,
    /// Only by this rule.
    pub rule: Option<String>,
    /// Also where it has fired before.
    pub force: bool,
    /// A person takes what was refused as genuine.
    pub trust: bool,
    /// A name of your own for this request, such as a UUID: when the same comes again, nothing is done.
    #[schemars(length(min = 1, max = KEY_LENGTH))]
    pub key: Option<String>,
    /// At most so many.
    #[schemars(range(min = 1, max = MOST))]
    pub limit: Option<i64>,
}

/// What is to be done with an event.
enum Route {
    /// The rules judge it once more.
    Again,
    /// It is judged as if it waited.
    PutBack,
    /// It becomes this event.
    AsNew(Box<Delivery>),
}

impl Route {
    fn word(&self) -> &'static str {
        match self {
            Self::Again => "judged_again",
            Self::PutBack => "put_back",
            Self::AsNew(_) => "taken_as_new",
        }
    }
}

/// Tells what a replay would come to. Nothing can be changed by it, and nobody is called. Looks at so many events as
/// fit into a request, and says where to go on.
///
/// # Errors
/// When the database does not answer.
pub async fn foresee(app: &App, ask: &Ask) -> Result<Report, NotSeen> {
    let look = app.readers.look().await?;
    Ok(foreseen(Run::new(app, ask, true), &look).await?)
}

/// The same of all events that are meant, for who can wait. `watch` hears how many were looked at.
///
/// # Errors
/// When the database does not answer.
pub async fn foresee_all(app: &App, ask: &Ask, watch: &(dyn Fn(i64) + Sync)) -> store::Result<Report> {
    foreseen(Run::new(app, ask, true).watched(watch), &app.pool).await
}

/// Has events judged once more: all of them or, when that fails, none. The judging itself is done by the service. Looks
/// at so many events as fit into a request, and says where to go on.
///
/// # Errors
/// When the database does not answer.
pub async fn begin(app: &App, ask: &Ask) -> store::Result<Report> {
    begun(Run::new(app, ask, false)).await
}

/// The same with all events that are meant, for who can wait. `watch` hears how many were looked at.
///
/// # Errors
/// When the database does not answer.
pub async fn begin_all(app: &App, ask: &Ask, watch: &(dyn Fn(i64) + Sync)) -> store::Result<Report> {
    begun(Run::new(app, ask, false).watched(watch)).await
}

async fn foreseen(mut run: Run<'_>, pool: &PgPool) -> store::Result<Report> {
    let mut tx = past::read_only(pool).await?;
    run.through(&mut tx).await?;
    tx.rollback().await?;
    Ok(run.report)
}

async fn begun(mut run: Run<'_>) -> store::Result<Report> {
    let mut tx = run.app.pool.begin().await?;
    run.through(&mut tx).await?;
    tx.commit().await?;
    run.app.wake.processor.notify_one();
    Ok(run.report)
}

struct Run<'a> {
    app: &'a App,
    rules: Arc<Rules>,
    ask: &'a Ask,
    dry: bool,
    /// Events that were looked at.
    looked: i64,
    /// The most of them.
    at_once: i64,
    watch: &'a (dyn Fn(i64) + Sync),
    /// Firing keys that would be taken.
    keys: std::collections::HashSet<String>,
    /// A replay was begun with the key of this one.
    repeated: bool,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(app: &'a App, ask: &'a Ask, dry: bool) -> Self {
        Self {
            app,
            rules: app.rulebook.now(),
            ask,
            dry,
            looked: 0,
            at_once: AT_ONCE,
            watch: &|_| {},
            keys: std::collections::HashSet::new(),
            repeated: false,
            report: Report::default(),
        }
    }

    /// Without an end, and with somebody who watches.
    fn watched(self, watch: &'a (dyn Fn(i64) + Sync)) -> Self {
        let at_once = i64::MAX;
        Self { at_once, watch, ..self }
    }

    async fn through(&mut self, tx: &mut PgTransaction<'_>) -> store::Result<()> {
        let usual = || [State::Processed, State::Failed].map(|state| state.to_string()).into();
        let mut filter = Filter {
            ids: self.ask.ids.clone(),
            application: self.ask.application,
            location: self.ask.location,
            kind: self.ask.kind.clone(),
            states: self.ask.state.clone().map_or_else(usual, |state| vec![state]),
            since: self.ask.since,
            until: self.ask.until,
            after: self.ask.after.unwrap_or(0),
        };
        let limit = self.ask.limit.unwrap_or(USUAL);
        loop {
            let page = replays::select(tx, &filter, PAGE).await?;
            let is_last = i64::try_from(page.len()).unwrap_or(PAGE) < PAGE;
            let mut routed = Vec::new();
            for stored in page {
                if self.report.events >= limit || self.looked >= self.at_once {
                    self.report.more_after = Some(filter.after);
                    break;
                }
                filter.after = stored.event.id.0;
                self.looked += 1;
                let route = self.route(tx, &stored).await?;
                match &route {
                    Ok(_) => self.report.events += 1,
                    Err(why) => *self.report.refused.entry(why.clone()).or_default() += 1,
                }
                routed.push((stored, route));
            }
            match self.dry {
                true => self.foresee(tx, routed).await?,
                false => self.queue(tx, routed).await?,
            }
            (self.watch)(self.looked);
            if is_last || self.repeated || self.report.more_after.is_some() {
                return Ok(());
            }
        }
    }

    async fn route(&self, tx: &mut PgTransaction<'_>, stored: &Stored) -> store::Result<Result<Route, String>> {
        let event = &stored.event;
        let refuse = |why: &str| Ok(Err(why.to_owned()));
        if self.app.served(event.place.application_id).is_none() {
            return refuse("no application of this number is configured here");
        }
        if stored.state != State::Processed && self.ask.rule.is_some() {
            return refuse("it was never judged; replay it without naming a rule");
        }
        if stored.erased {
            return refuse("its data was erased");
        }
        match stored.state {
            State::Received => refuse("it waits to be judged"),
            State::Failed => Ok(Ok(Route::PutBack)),
            State::Rejected | State::Quarantined => self.as_new(tx, stored).await,
            State::Processed if event.kind == Kind::BulkRequested => refuse("a plan asked for it; make a new plan"),
            State::Processed => match &stored.note {
                Some(note) => Ok(Err(format!("it had no effect: {note}"))),
                None if self.waits_for(event) => Ok(Ok(Route::Again)),
                None => refuse("no rule waits for such an event"),
            },
        }
    }

    fn waits_for(&self, event: &Waiting) -> bool {
        let named = |name: &str| self.ask.rule.as_ref().is_none_or(|rule| rule == name);
        let rules = self.rules.of(event.place.application_id);
        let came = event.fact.as_ref().and_then(Fact::moment);
        let mut matching = rules.matching(&event.kind, came);
        matching.any(|rule| named(&rule.name))
    }

    async fn as_new(&self, tx: &mut PgTransaction<'_>, stored: &Stored) -> store::Result<Result<Route, String>> {
        if let (Some(became), false) = (stored.became, self.ask.force) {
            return Ok(Err(format!("it was taken before, as event {became}")));
        }
        let (body, headers) = replays::raw(tx, &stored.event).await?;
        let body = body.unwrap_or_default();
        let terms = (stored.note.as_deref(), self.ask.trust);
        let read = refused::recognise(self.app, &stored.event, (&body, headers), terms);
        Ok(read.map(|delivery| Route::AsNew(Box::new(delivery))))
    }

    /// Writes down what is to be judged.
    async fn queue(
        &mut self,
        tx: &mut PgTransaction<'_>,
        routed: Vec<(Stored, Result<Route, String>)>,
    ) -> store::Result<()> {
        let replay = match self.report.replay_id {
            Some(replay) => replay,
            None if routed.iter().all(|(_, route)| route.is_err()) => 0,
            None => {
                let terms = (self.ask.rule.as_deref(), self.ask.force);
                let Some(begun) = replays::begin(tx, terms, self.ask.key.as_deref()).await? else {
                    self.refuse_all();
                    return Ok(());
                };
                begun
            }
        };
        self.report.replay_id = Some(replay).filter(|replay| *replay > 0);
        let of = |wanted: &str| -> Vec<&Waiting> {
            let routed = routed.iter();
            let routed = routed.filter(|(_, route)| route.as_ref().is_ok_and(|route| route.word() == wanted));
            routed.map(|(stored, _)| &stored.event).collect()
        };
        replays::add(tx, replay, &of(Route::Again.word())).await?;
        replays::put_back(tx, replay, &of(Route::PutBack.word())).await?;
        for (stored, route) in routed {
            let mut item = item(&stored, &route);
            if let Ok(Route::AsNew(delivery)) = route {
                match self.store(tx, replay, (&stored.event, *delivery)).await? {
                    Some(became) => item.became = Some(became),
                    None => {
                        let why = "the same was received before";
                        (item.result, item.reason) = ("refused", Some(why.to_owned()));
                        self.report.events -= 1;
                        *self.report.refused.entry(why.to_owned()).or_default() += 1;
                    }
                }
            }
            self.tell(item);
        }
        Ok(())
    }

    /// Somebody asked for the same before: what was found so far is refused, and the rest is not looked at.
    fn refuse_all(&mut self) {
        let events = std::mem::take(&mut self.report.events);
        self.report.refused = BTreeMap::from([(ASKED_BEFORE.to_owned(), events)]);
        self.repeated = true;
    }

    /// Stores what was made of a refused delivery; `None` when the same was stored before.
    async fn store(
        &self,
        tx: &mut PgTransaction<'_>,
        replay: i64,
        (event, delivery): (&Waiting, Delivery),
    ) -> store::Result<Option<EventId>> {
        let window = self.app.config.intake.duplicate_window.as_secs();
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        let stored = events::store(tx, &[delivery], window).await?;
        match stored.first() {
            Some(events::Stored::Fresh) => replays::note_became(tx, replay, event).await.map(Some),
            Some(events::Stored::Duplicate) | None => Ok(None),
        }
    }

    fn tell(&mut self, item: Item) {
        if self.report.items.len() < TOLD {
            self.report.items.push(item);
        }
    }
}

fn item(stored: &Stored, route: &Result<Route, String>) -> Item {
    let event = &stored.event;
    let kind = match route {
        Ok(Route::AsNew(delivery)) => delivery.kind.clone(),
        Ok(Route::Again | Route::PutBack) | Err(_) => event.kind.clone(),
    };
    Item {
        event_id: event.id,
        application_id: event.place.application_id,
        location_id: stored.location,
        kind,
        result: route.as_ref().map_or("refused", Route::word),
        reason: route.as_ref().err().cloned(),
        became: None,
        rules: Vec::new(),
    }
}
