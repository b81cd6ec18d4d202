-- The name that whoever asked gave to the request, so that a request that comes twice is one replay.
alter table replays add column key text;
create unique index replays_key on replays (key) where key is not null;
