-- A step may wait after the one before it. The time begins when that one is done; until then `run_at` is a guess.
-- It may also have a condition of its own, which is asked when it runs; the condition stays in the rule.
alter table jobs add column wait_seconds bigint, add column conditional boolean not null default false;
create index jobs_waiting on jobs (firing_id, step) where wait_seconds is not null;

-- A rule may be watched before it works (`shadow`): its firings have keys of their own, and no jobs.
alter table firings add column mode text not null default 'live' check (mode in ('live', 'shadow'));

alter table decisions drop constraint decisions_result_check;
alter table decisions add constraint decisions_result_check check (result in ('fired', 'skipped', 'shadow', 'held')) not valid;

-- How often a rule with a cap has fired on a UTC day.
create table rule_days (
    application_id bigint not null,
    rule text not null,
    day date not null,
    fired bigint not null,
    primary key (application_id, rule, day)
) with (fillfactor = 50);

-- Firings beyond the cap: their key is taken and their steps are not queued until somebody says so.
create table holds (
    firing_id bigint primary key references firings on delete cascade,
    application_id bigint not null,
    location_id bigint not null,
    rule text not null,
    state text not null default 'held' check (state in ('held', 'released', 'dropped')),
    reason text,
    held_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index holds_open on holds (application_id, rule, firing_id) where state = 'held';
create index holds_by_place on holds (application_id, location_id) where state = 'held';
