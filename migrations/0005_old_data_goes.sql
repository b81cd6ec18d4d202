-- When a piece of upkeep was done last, by whichever process. The first round is a while after this migration.
create table upkeep (
    name text primary key,
    done_at timestamptz not null default now()
);

insert into upkeep (name) values ('firings'), ('history'), ('events'), ('outcomes'), ('decisions'), ('finished_jobs'), ('attempts');

-- Locations whose personal data was taken away, and up to when. Beside `installations` and not in it: a process of
-- the version before reads that table with `select *`, and its prepared statements would fail.
create table erasures (
    application_id bigint not null,
    location_id bigint not null,
    asked_by text not null check (asked_by in ('operator', 'retention')),
    erased_before timestamptz not null,
    erased_at timestamptz not null default now(),
    primary key (application_id, location_id, asked_by)
);

-- Small or narrow tables that are changed all the time: dead rows are taken away early, and a changed row finds room
-- on its page.
alter table delivery_keys set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table timers set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table installations set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table activations set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table request_budget set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
