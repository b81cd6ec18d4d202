//! What is broken in the tables.

use crate::faults::checks::Check;

/// Damage that shows in the tables: what was done, and who has to notice.
pub(super) const DAMAGE: [(&str, Check); 43] = [
    (
        "delete from events where id = (select min(id) from events where source = 'webhook')",
        Check::Stored,
    ),
    (
        "insert into events (application_id, location_id, kind, source, verdict, resource_id, digest, headers, body)
            select application_id, location_id, kind, source, verdict, resource_id, digest, headers, body
            from events where source = 'webhook' limit 1",
        Check::Stored,
    ),
    (
        "update events set body = '{}' where id = (select min(id) from events where source = 'webhook')",
        Check::Stored,
    ),
    (
        "delete from events where id = (select min(id) from events where kind = 'connect.opened')",
        Check::Stored,
    ),
    (
        "insert into events (application_id, location_id, kind, source, verdict, body)
            values (18289, 1, 'installation.frozen', 'callback', 'received', '{}')",
        Check::Stored,
    ),
    (
        "update installations set status = case when status = 'active' then 'frozen' else 'active' end
            where location_id = 1",
        Check::Installations,
    ),
    ("delete from installations where status = 'active'", Check::Installations),
    (
        "insert into installations (application_id, location_id, status, generation, status_since)
            values (18289, 77, 'active', 1, now())",
        Check::Installations,
    ),
    (
        "insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
            select key || '-again', rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind
            from firings where rule = 'told' limit 1",
        Check::FiredOnce,
    ),
    (
        "insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
            select key || '-again', rule, once_per, application_id, location_id, generation + 1, event_id + 1000000,
                event_received_at, kind from firings where rule = 'welcome' limit 1",
        Check::FiredOnce,
    ),
    (
        "alter table firings drop constraint firings_key_key;
         insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
            select key, 'other', once_per, application_id, location_id, generation, event_id, event_received_at, kind
            from firings where rule = 'told' limit 1",
        Check::FiredOnce,
    ),
    ("delete from outcomes where event_id = (select min(event_id) from outcomes)", Check::Decided),
    ("update outcomes set state = 'failed' where event_id = (select min(event_id) from outcomes)", Check::Decided),
    ("delete from decisions where result = 'skipped'", Check::Decided),
    ("delete from firings where id = (select min(id) from firings)", Check::Decided),
    ("delete from finished_jobs where action = 'send_webhook'", Check::Effects),
    (
        "update finished_jobs set state = 'discarded' where id = (select min(id) from finished_jobs where action = 'send_webhook')",
        Check::Effects,
    ),
    ("delete from ledger where kind = 'payment'", Check::Ledger),
    (
        "update ledger set payment_id = payment_id + 1000 where id = (select min(id) from ledger where kind = 'payment')",
        Check::Ledger,
    ),
    ("update ledger set state = 'failed' where kind = 'refund'", Check::Ledger),
    (
        "drop index ledger_payments;
         update ledger l set payment_id = (select max(payment_id) from ledger where kind = 'payment' and application_id = l.application_id)
            where kind = 'payment'",
        Check::Ledger,
    ),
    (
        "insert into inbox values (1, now(), 18289, 1, 1)",
        Check::NothingLeft,
    ),
    (
        "insert into lanes (application_id, location_id, name, priority, run_at, leased_by, leased_until)
            values (18289, 1, 'held', 1, now(), 'somebody', now() + interval '1 year')",
        Check::NothingLeft,
    ),
    (
        "insert into jobs (lane_id, application_id, location_id, action, params, max_attempts)
            values (0, 18289, 1, 'set_discount', '{}', 1)",
        Check::NothingLeft,
    ),
    (
        "update attempts set outcome = null where job_id = (select min(job_id) from attempts)",
        Check::NothingLeft,
    ),
    ("delete from attempts where job_id = (select min(job_id) from attempts)", Check::Sums),
    (
        "insert into installation_history (application_id, location_id, generation, from_status, to_status, source, event_id, occurred_at)
            select application_id, location_id, generation, status, 'pending', 'status', 0, now() from installations",
        Check::Sums,
    ),
    ("delete from decisions where rule = 'relay' and event_id = (select min(event_id) from decisions where rule = 'relay')", Check::Decided),
    ("delete from tags", Check::Effects),
    ("insert into tags (application_id, location_id, tag, rule) values (18289, 90, 'wrote', 'letter')", Check::Effects),
    (
        "insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, action, params, state, run_at, attempts, max_attempts, created_at)
            select -1, application_id, location_id, id, rule, 0, 'send_webhook', '{}', 'completed', now(), 0, 1, now()
            from firings where mode = 'shadow' limit 1",
        Check::Effects,
    ),
    ("delete from firings where id = (select max(id) from firings where rule = 'relay')", Check::Relayed),
    ("update finished_jobs set attempts = 0 where rule = 'relay'", Check::Relayed),
    (
        "update finished_jobs set state = 'cancelled' where id = (select max(id) from finished_jobs where rule = 'later')",
        Check::Waited,
    ),
    ("delete from firings where id = (select min(id) from firings where rule = 'later')", Check::Waited),
    ("delete from holds where firing_id = (select min(firing_id) from holds)", Check::Capped),
    (
        "update holds set state = 'released' where firing_id = (select min(firing_id) from holds where state = 'held')",
        Check::Capped,
    ),
    (
        "update holds set state = 'held' where firing_id = (select min(firing_id) from holds where state = 'released')",
        Check::Capped,
    ),
    ("update decisions set result = 'fired' where result = 'held'", Check::Capped),
    (
        "update decisions set result = 'skipped', reason = 'another' where rule = 'capped' and result = 'fired'",
        Check::Capped,
    ),
    ("delete from finished_jobs where action = 'log_call'", Check::Calls),
    ("update finished_jobs set result = '{\"sent\": false}' where action = 'log_call'", Check::Calls),
    ("update finished_jobs set attempts = 0 where action = 'log_call'", Check::Calls),
];
