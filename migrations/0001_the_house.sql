-- Every table that grows with traffic carries (application_id, location_id) and is either narrow and
-- emptied by the work itself (inbox, lanes, jobs, timers) or append-only and partitioned by day, so that
-- old data is dropped and not deleted. Day partitions are made ahead by the service; there is no DEFAULT
-- partition, because one would have to be scanned each time a partition is added.

-- What was learnt. Never updated.
create sequence event_ids;
create table events (
    id bigint not null default nextval('event_ids'),
    received_at timestamptz not null default now(),
    application_id bigint not null,
    location_id bigint,
    kind text not null,
    source text not null,
    verdict text not null check (verdict in ('received', 'rejected', 'quarantined')),
    reason text,
    resource_id bigint,
    occurred_at timestamptz not null default now(),
    digest bytea,
    fact jsonb,
    headers jsonb,
    body bytea,
    primary key (id, received_at)
) partition by range (received_at);
alter table events alter column body set compression lz4;
create index events_by_place on events (application_id, location_id, id desc);

-- What was decided about them.
create table outcomes (
    event_id bigint not null,
    received_at timestamptz not null,
    state text not null check (state in ('processed', 'failed')),
    note text,
    decided_at timestamptz not null default now(),
    primary key (event_id, received_at)
) partition by range (received_at);

create table decisions (
    event_id bigint not null,
    received_at timestamptz not null,
    rule text not null,
    result text not null check (result in ('fired', 'skipped')),
    reason text,
    firing_id bigint,
    decided_at timestamptz not null default now()
) partition by range (received_at);
create index decisions_by_event on decisions (event_id);

-- Deliveries seen inside the window of sameness.
create table delivery_keys (
    key bytea primary key,
    seen_at timestamptz not null default now()
);
create index delivery_keys_by_time on delivery_keys (seen_at);

-- Events nobody has judged yet. A row goes when its event is judged.
create table inbox (
    event_id bigint primary key,
    received_at timestamptz not null,
    application_id bigint not null,
    location_id bigint not null,
    shard smallint not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index inbox_by_shard on inbox (shard, event_id);

-- The nouns.
create table installations (
    application_id bigint not null,
    location_id bigint not null,
    status text not null check (status in ('pending', 'active', 'frozen', 'uninstalled')),
    generation int not null,
    status_since timestamptz not null,
    connected_at timestamptz,
    activated_at timestamptz,
    trial_ends_at timestamptz,
    paid_until timestamptz,
    has_paid boolean not null default false,
    primary key (application_id, location_id)
);

create table installation_history (
    id bigint generated always as identity primary key,
    application_id bigint not null,
    location_id bigint not null,
    generation int not null,
    from_status text not null,
    to_status text not null,
    source text not null,
    event_id bigint not null,
    occurred_at timestamptz not null
);
create index installation_history_by_place on installation_history (application_id, location_id, id);

-- What is known of a business place. Per application, because numbers of two brands may be equal.
create table locations (
    application_id bigint not null,
    location_id bigint not null,
    title text,
    data jsonb not null,
    seen_at timestamptz not null default now(),
    primary key (application_id, location_id)
);

create table payments (
    application_id bigint not null,
    location_id bigint not null,
    payment_key text not null,
    payment jsonb not null,
    seen_at timestamptz not null default now(),
    primary key (application_id, location_id, payment_key)
);

-- How the present connection goes on: what the owner's page shows.
create table activations (
    application_id bigint not null,
    location_id bigint not null,
    state text not null check (state in ('requested', 'activating', 'external', 'active', 'frozen', 'not_connected', 'expired', 'failed')),
    message text,
    opened_at timestamptz not null default now(),
    pending_since timestamptz,
    changed_at timestamptz not null default now(),
    primary key (application_id, location_id)
);
create index activations_under_way on activations (pending_since) where state in ('activating', 'external');

-- Moments to come. `fired_for` is the due time that was announced already.
create table timers (
    application_id bigint not null,
    location_id bigint not null,
    kind text not null check (kind in ('trial.ending', 'trial.ended')),
    before_seconds bigint not null,
    generation int not null,
    date timestamptz not null,
    due_at timestamptz not null,
    fired_for timestamptz,
    primary key (application_id, location_id, kind, before_seconds)
);
create index timers_due on timers (due_at) where fired_for is distinct from due_at;

-- A rule that was applied to an occurrence. The key is what makes it fire once.
create table firings (
    id bigint generated always as identity primary key,
    key text not null unique,
    rule text not null,
    once_per text not null check (once_per in ('occurrence', 'installation', 'location')),
    application_id bigint not null,
    location_id bigint not null,
    generation int not null,
    event_id bigint not null,
    event_received_at timestamptz not null,
    kind text not null,
    results jsonb not null default '{}',
    fired_at timestamptz not null default now()
);
create index firings_by_place on firings (application_id, location_id, id desc);

-- Work. Jobs of one lane run one after another in order of id; a lane is what a worker leases.
create table lanes (
    id bigint generated always as identity primary key,
    application_id bigint not null,
    location_id bigint not null,
    name text not null,
    priority smallint not null,
    run_at timestamptz not null,
    leased_by text,
    leased_until timestamptz,
    unique (application_id, location_id, name)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index lanes_due on lanes (priority, run_at);

create table jobs (
    id bigint generated always as identity primary key,
    lane_id bigint not null,
    application_id bigint not null,
    location_id bigint not null,
    firing_id bigint,
    rule text,
    step smallint not null default 0,
    step_id text,
    action text not null,
    params jsonb not null,
    state text not null default 'available' check (state in ('available', 'running')),
    run_at timestamptz not null default now(),
    attempts int not null default 0,
    max_attempts int not null,
    last_error text,
    created_at timestamptz not null default now()
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index jobs_by_lane on jobs (lane_id, id);
create index jobs_by_place on jobs (application_id, location_id);
create index jobs_by_firing on jobs (firing_id) where firing_id is not null;

create table finished_jobs (
    id bigint not null,
    application_id bigint not null,
    location_id bigint not null,
    firing_id bigint,
    rule text,
    step smallint not null,
    step_id text,
    action text not null,
    params jsonb not null,
    state text not null check (state in ('completed', 'discarded', 'cancelled')),
    run_at timestamptz not null,
    attempts int not null,
    max_attempts int not null,
    last_error text,
    result jsonb,
    created_at timestamptz not null,
    finished_at timestamptz not null default now(),
    primary key (id, finished_at)
) partition by range (finished_at);
create index finished_jobs_by_place on finished_jobs (application_id, location_id, id desc);

-- One row for every time a job was started. Written before anything is called, so that after a crash
-- it is known that a call may have happened.
create table attempts (
    job_id bigint not null,
    attempt int not null,
    worker text not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    outcome text check (outcome in ('done', 'retry', 'snooze', 'discard', 'lost')),
    error text,
    exchanges jsonb not null default '[]',
    primary key (job_id, attempt, started_at)
) partition by range (started_at);

-- The shared request budget: when requests were granted lately, oldest first, also such that lie ahead.
create table request_budget (
    scope text primary key,
    granted timestamptz[] not null default '{}'
) with (fillfactor = 50);
