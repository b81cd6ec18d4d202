-- What of each day's refused deliveries was promised to be kept, by all processes together.
create table quarantine_days (
    day date primary key,
    deliveries bigint not null,
    bytes bigint not null
);
