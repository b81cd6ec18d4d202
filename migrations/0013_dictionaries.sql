-- What the marketplace's numbers of countries, cities and kinds of business stand for. They change rarely, so each is
-- read at most once a day for an application; `country_id` 0 stands for all countries.
create table dictionaries (
    application_id bigint not null,
    name text not null check (name in ('countries', 'cities', 'business_types')),
    country_id bigint not null default 0,
    read_at timestamptz,
    -- Reading it failed; it is left alone for a while.
    failed_at timestamptz,
    primary key (application_id, name, country_id)
);

create table countries (
    application_id bigint not null,
    country_id bigint not null,
    title text,
    -- ISO 3166 alpha-2.
    iso_code text,
    phone_code text,
    currency text,
    is_eu boolean,
    primary key (application_id, country_id)
);

create table cities (
    application_id bigint not null,
    city_id bigint not null,
    country_id bigint,
    title text,
    primary key (application_id, city_id)
);

create table business_types (
    application_id bigint not null,
    type_id bigint not null,
    title text,
    group_id bigint not null,
    group_title text,
    primary key (application_id, type_id)
);
