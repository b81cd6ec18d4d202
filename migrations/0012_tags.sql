-- Marks that rules set on an application at a location. They outlive a connection.
create table tags (
    application_id bigint not null,
    location_id bigint not null,
    tag text not null,
    rule text,
    set_at timestamptz not null default now(),
    primary key (application_id, location_id, tag)
);
