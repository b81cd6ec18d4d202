//! A check that cannot fail proves nothing. Here what each one guards is broken on purpose, from outside: in the
//! tables, in the sender's memory, or by somebody who stands between Bellhop and the others.

mod damage;
mod parts;
mod stutter;

use std::time::Duration;

use bellhop::sandbox::{Origin, Payment};
use fastrand::Rng;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool};
use tokio::net::TcpListener;

use self::{damage::DAMAGE, stutter::stutter};
use super::{
    checks::{Breach, Check, twice},
    driver::{deliver, play, release},
    plan::{Plan, REAL, Release, Request, Scale},
    round::case,
    scene::{Ground, Memory, Scene},
};
use crate::service::stage::APP;

const PATIENCE: Duration = Duration::from_secs(30);

const QUIET: Scale = Scale {
    events: 60,
    locations: 2,
    length: Duration::from_millis(300),
    blows: 0,
    bad_days: 0,
};

/// A release of the oldest that is held.
const SOME: Release = Release {
    at: Duration::ZERO,
    application: APP,
    limit: 1,
};

/// A scene in which nothing goes wrong by itself.
struct Quiet {
    scene: Scene,
    plan: Plan,
    _folder: tempfile::TempDir,
}

impl Quiet {
    async fn set(pool: &PgPool, marketplace: Option<String>) -> Self {
        Self::set_at(pool, marketplace, 0).await
    }

    /// Bellhop's clock is off by so many seconds.
    async fn set_at(pool: &PgPool, marketplace: Option<String>, clock: i64) -> Self {
        let mut plan = Plan::quiet(&mut Rng::with_seed(7), QUIET, QUIET.locations);
        plan.clocks = vec![clock];
        let folder = tempfile::tempdir().expect("a folder");
        let database = pool.connect_options().to_url_lossy().to_string();
        let ground = Ground {
            database: &database,
            folder: folder.path(),
            marketplace,
        };
        let scene = Scene::set(&plan, ground).await;
        Self {
            scene,
            plan,
            _folder: folder,
        }
    }

    /// Plays it through.
    async fn played(pool: &PgPool) -> Self {
        let quiet = Self::set(pool, None).await;
        let played = play(&quiet.scene, &quiet.plan, None).await;
        assert!(played.unheard.is_empty() && played.unseen.is_empty(), "{played:?}");
        release(&quiet.scene, &SOME).await;
        quiet.drained().await;
        quiet
    }

    async fn drained(&self) {
        self.scene.drained(PATIENCE).await.expect("nothing is left");
    }

    async fn breaches(&self, connection: &mut PgConnection) -> Vec<Breach> {
        let memory = self.scene.memory().await;
        case(&self.scene, &self.plan, &memory).all(connection).await
    }

    async fn broken(&self, connection: &mut PgConnection) -> Vec<Check> {
        checks(&self.breaches(connection).await)
    }

    /// What is said against a changed memory.
    async fn against(&self, memory: &Memory, connection: &mut PgConnection) -> Vec<String> {
        let breaches = case(&self.scene, &self.plan, memory).all(connection).await;
        breaches.iter().map(ToString::to_string).collect()
    }

    /// A request with one element that rules wait for.
    fn record(&self) -> &Request {
        let waited_for = |request: &&Request| {
            !request.list
                && request.hook_id.is_some()
                && !request.path.ends_with("not-the-key")
                && request.elements[0].text.contains(r#""resource":"record""#)
                && request.elements[0].text.contains(r#""status":"create""#)
                && request.elements[0].text.contains(r#""data""#)
        };
        self.plan.requests.iter().find(waited_for).expect("one of many")
    }
}

fn checks(breaches: &[Breach]) -> Vec<Check> {
    breaches.iter().map(|breach| breach.check).collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn each_check_notices_damage_in_the_tables(pool: PgPool) {
    let quiet = Quiet::played(&pool).await;
    let mut connection = pool.acquire().await.expect("a connection").detach();
    assert_eq!(quiet.breaches(&mut connection).await, [], "nothing was broken yet");
    for (damage, check) in DAMAGE {
        let mut tx = connection.begin().await.expect("a transaction");
        let done = tx.execute(damage).await.expect(damage);
        assert!(done.rows_affected() > 0, "nothing was damaged by {damage}");
        let broken = quiet.broken(&mut tx).await;
        assert!(broken.contains(&check), "{check:?} did not notice {damage}: {broken:?}");
        tx.rollback().await.expect("as it was");
    }
    // What waits on the disk is not in the database.
    let forgotten = quiet.scene.folder.join("bellhop-0/spool/1.spool");
    std::fs::write(&forgotten, "a delivery").expect("written");
    assert_eq!(quiet.broken(&mut connection).await, [Check::NothingLeft]);
    std::fs::remove_file(forgotten).expect("removed");
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_what_only_the_marketplace_knows(pool: PgPool) {
    let quiet = Quiet::played(&pool).await;
    let mut connection = pool.acquire().await.expect("a connection").detach();
    let memory = quiet.scene.memory().await;
    let mut forgotten = memory.clone();
    forgotten.inbox.clear();
    forgotten.mails.clear();
    let broken = checks(&case(&quiet.scene, &quiet.plan, &forgotten).all(&mut connection).await);
    assert_eq!(
        broken.iter().find(|check| **check == Check::Effects),
        Some(&Check::Effects)
    );

    let mut twice = memory.clone();
    let link = twice
        .truth
        .links
        .iter_mut()
        .find(|link| link.link.activations > 0)
        .expect("one");
    link.link.activations += 1;
    let broken = checks(&case(&quiet.scene, &quiet.plan, &twice).all(&mut connection).await);
    assert!(broken.contains(&Check::Ledger), "{broken:?}");

    // A payment is reported or given back, and only the marketplace knows.
    for change in [
        |payment: &mut Payment| payment.is_refunded = !payment.is_refunded,
        |payment: &mut Payment| payment.id += 1_000,
    ] {
        let mut other = memory.clone();
        let payments = other.truth.links.iter_mut().flat_map(|link| &mut link.link.payments);
        let mut reported = payments.filter(|payment| payment.origin == Origin::Reported);
        change(reported.next().expect("one"));
        let broken = checks(&case(&quiet.scene, &quiet.plan, &other).all(&mut connection).await);
        assert!(broken.contains(&Check::Ledger), "{broken:?}");
    }

    // With limits a hundred times as high as the marketplace's, a quiet round is far beyond them.
    let mut strict = case(&quiet.scene, &quiet.plan, &memory);
    strict.limits = REAL;
    let broken = checks(&strict.all(&mut connection).await);
    assert_eq!(broken, vec![Check::Budget; broken.len()]);
    assert!(!broken.is_empty(), "the budget was not overdrawn");
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_a_receiver_that_keeps_nothing_or_refuses(pool: PgPool) {
    let quiet = Quiet::set(&pool, None).await;
    let request = quiet.record().clone();
    // Somebody answered 200 in Bellhop's place.
    quiet.scene.oracle.sent(&request);
    quiet.scene.oracle.acknowledged(&request);
    let mut connection = pool.acquire().await.expect("a connection").detach();
    assert_eq!(quiet.broken(&mut connection).await, [Check::Stored, Check::Relayed]);
    assert!(deliver(&quiet.scene, &request, 0).await);
    quiet.drained().await;
    assert_eq!(quiet.breaches(&mut connection).await, []);
    // And one that refuses for good what is genuine.
    let mut nowhere = request;
    nowhere.path = nowhere.path.replacen("hooks", "hoaxes", 1);
    nowhere.hook_id = Some("another".to_owned());
    assert!(!deliver(&quiet.scene, &nowhere, 0).await);
    assert_eq!(quiet.broken(&mut connection).await, [Check::Stored]);
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_lost_sameness_of_deliveries_and_of_firings(pool: PgPool) {
    let quiet = Quiet::set(&pool, None).await;
    let mut connection = pool.acquire().await.expect("a connection").detach();
    let request = quiet.record().clone();
    assert!(deliver(&quiet.scene, &request, 0).await);
    quiet.drained().await;
    // Without its key Bellhop does not know the delivery again, and only the rule's own key holds.
    connection
        .execute("delete from delivery_keys")
        .await
        .expect("forgotten");
    assert!(deliver(&quiet.scene, &request, 0).await);
    quiet.drained().await;
    assert_eq!(quiet.broken(&mut connection).await, [Check::Stored]);

    // Without that one neither.
    let forgetful = "create function forgetful() returns trigger language plpgsql as
            $$ begin new.key := new.key || random(); return new; end $$;
        create trigger forgetful before insert on firings for each row execute function forgetful()";
    connection.execute(forgetful).await.expect("sabotaged");
    connection
        .execute("delete from delivery_keys")
        .await
        .expect("forgotten");
    assert!(deliver(&quiet.scene, &request, 0).await);
    quiet.drained().await;
    let broken = quiet.broken(&mut connection).await;
    assert!(broken.contains(&Check::FiredOnce), "{broken:?}");
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_somebody_who_says_everything_twice_to_the_marketplace(pool: PgPool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let quiet = Quiet::set(&pool, Some(address.clone())).await;
    let marketplace = quiet.scene.sandbox.clone();
    let stutterer = tokio::spawn(stutter(listener, marketplace));
    assert!(play(&quiet.scene, &quiet.plan, None).await.unseen.is_empty());
    quiet.drained().await;
    let memory = quiet.scene.memory().await;
    let found = twice(&memory, false);
    for word in ["repeated blindly", "paid 2 times", "a refund was refused"] {
        assert!(found.iter().any(|what| what.contains(word)), "{word}: {found:?}");
    }
    stutterer.abort();
    assert_eq!(quiet.scene.end().await, [""; 0]);
}
