-- How far comparing an application with the marketplace has come. A round begins with the list of connected locations
-- and ends when the status of every place that has to be looked at was read after its beginning.
create table reconciliations (
    application_id bigint primary key,
    next_at timestamptz not null default now(),
    begun_at timestamptz,
    listed_at timestamptz,
    finished_at timestamptz,
    -- The beginning of the last round in which every place could be looked at.
    succeeded_at timestamptz,
    listed int not null default 0,
    looked int not null default 0,
    differences int not null default 0,
    error text,
    -- Who works on it. Two at once would only ask twice.
    leased_by text,
    leased_until timestamptz,
    -- When somebody last was at it, and since when a pause before is known of.
    alive_at timestamptz not null default now(),
    gap_since timestamptz
);

-- When the status of a place was last read, and what else its next look needs. A table of its own: the version before
-- reads `select *` from installations.
create table looks (
    application_id bigint not null,
    location_id bigint not null,
    listed boolean not null default false,
    -- Something about it is other than it was: it is looked at first.
    news boolean not null default false,
    looked_at timestamptz,
    -- Its look failed; others come first.
    skipped_until timestamptz,
    -- The marketplace's date of the connection as printed, and which generation of ours that was.
    link_made_at timestamp,
    link_generation int,
    hooks text check (hooks in ('registered', 'former', 'missing', 'refused')),
    hooks_seen_at timestamptz,
    primary key (application_id, location_id)
);
