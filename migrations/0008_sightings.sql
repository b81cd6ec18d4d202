-- Callbacks, looks at the status and spooled deliveries arrive in another order than they happened. So it is kept until
-- when the present status was told or seen, and what is dated before that cannot move it.
--
-- A table and no column: the version before reads `select *` from installations in prepared statements, and those fail
-- when a column comes.
create table sightings (
    application_id bigint not null,
    location_id bigint not null,
    seen_at timestamptz not null,
    primary key (application_id, location_id),
    foreign key (application_id, location_id) references installations on delete cascade
);
