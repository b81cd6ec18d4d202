-- More moments: ends of paid periods beside those of trials. `not valid`: what is there is fine, and nobody has to wait
-- until it was looked at.
alter table timers drop constraint timers_kind_check;
alter table timers add constraint timers_kind_check
    check (kind in ('trial.ending', 'trial.ended', 'period.ending', 'period.ended')) not valid;

-- The next occurrence of each calendar at each place. Tables of their own, and not rows of `timers`: the version before
-- deletes rows of kinds it does not know there.
create table schedules (
    application_id bigint not null,
    location_id bigint not null,
    -- The cron expression.
    cron text not null,
    -- What was known of the place's zone when this was planned; empty for nothing.
    zone text not null,
    -- What the clocks there show, and which instant that is.
    local_at timestamp not null,
    due_at timestamptz not null,
    -- By how much time has passed faster here: store/ageing.rs moves facts, and a calendar is none.
    aged_seconds bigint not null default 0,
    primary key (application_id, location_id, cron)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index schedules_due on schedules (due_at);

-- Active places whose silence a rule waits for. A row is looked at when it would be silent for so long, and not with
-- every event.
create table silences (
    application_id bigint not null,
    location_id bigint not null,
    lasting_seconds bigint not null,
    -- The last entity event that was found, 0 for none, and since when the silence counts.
    heard_id bigint not null default 0,
    heard_at timestamptz not null,
    -- This silence was announced; the next begins with an event.
    is_announced boolean not null default false,
    -- When to look.
    due_at timestamptz not null,
    primary key (application_id, location_id, lasting_seconds)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index silences_due on silences (due_at);

-- When anybody was last there to hear the marketplace, and since when again after a pause. One row.
create table presence (
    is_only boolean primary key default true check (is_only),
    alive_at timestamptz not null default now(),
    back_at timestamptz
);
insert into presence default values;
