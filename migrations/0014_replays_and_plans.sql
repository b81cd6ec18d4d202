-- Events that are to be judged by the rules once more. A table beside the inbox: the version before would take such a
-- row for an event that nobody has judged, and move installations by history.
create table replays (
    id bigint generated always as identity primary key,
    -- Only this rule, and again where it has fired before.
    rule text,
    force boolean not null,
    asked_at timestamptz not null default now()
);

create table replayed (
    replay_id bigint not null references replays on delete cascade,
    event_id bigint not null,
    received_at timestamptz not null,
    application_id bigint not null,
    location_id bigint,
    shard smallint not null,
    asked_at timestamptz not null default now(),
    judged_at timestamptz,
    -- The event that was made of one that had been refused.
    became bigint,
    note text,
    primary key (replay_id, event_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index replayed_waiting on replayed (shard, event_id, replay_id) where judged_at is null;
create index replayed_by_event on replayed (event_id);
create index replayed_became on replayed (became) where became is not null;
create index replayed_by_time on replayed (asked_at);

-- Which replay a decision belongs to; none for the first judgement.
alter table decisions add column replay_id bigint;

-- What a job needs to come back as it was.
alter table finished_jobs add column wait_seconds bigint, add column conditional boolean not null default false;

-- What a bulk action would do, as it was shown to whoever may apply it.
create table plans (
    id bigint generated always as identity primary key,
    application_id bigint not null,
    name text not null,
    -- The file, as it was read.
    source text not null,
    -- SHA-256 over application, file and locations, hex.
    digest text not null,
    confirmation text not null,
    locations int not null,
    -- Locations it does not concern, by reason.
    left_out jsonb not null,
    requests bigint not null,
    money jsonb not null,
    made_at timestamptz not null default now(),
    applied_at timestamptz
);

create table plan_places (
    plan_id bigint not null references plans on delete cascade,
    location_id bigint not null,
    -- The event by which it was asked for.
    event_id bigint,
    received_at timestamptz,
    primary key (plan_id, location_id)
);

insert into upkeep (name) values ('replays');
