-- Bellhop's database and the two roles that reach it; run once, by psql, as a superuser:
--
--   psql -X -v ON_ERROR_STOP=1 -f roles.sql
--
-- Give both a password afterwards (\password bellhop), or let pg_hba.conf know them otherwise.

-- The service. It owns its database and nothing else: it makes and drops tables by day, so it cannot do with less.
create role bellhop login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
-- Whether somebody else's old transaction keeps deleted rows from being cleaned up (bellhop_database_oldest_snapshot_seconds).
-- It also shows what others ask at the moment, texts included, in all databases of the server: leave it out where that
-- is not yours to see, and the metric then knows of Bellhop's own transactions only.
grant pg_read_all_stats to bellhop;
create database bellhop owner bellhop encoding 'UTF8' template template0;
revoke all on database bellhop from public;

-- People who look: the terminal commands that only read, and psql. What is stored there holds personal data.
create role bellhop_reader login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
  connection limit 5;
alter role bellhop_reader set default_transaction_read_only = on;
-- So that a question that was forgotten holds nothing up. Whoever has the role can lift these for a session.
alter role bellhop_reader set statement_timeout = '30s';
alter role bellhop_reader set idle_in_transaction_session_timeout = '60s';
grant connect on database bellhop to bellhop_reader;

\connect bellhop
grant usage on schema public to bellhop_reader;
alter default privileges for role bellhop in schema public grant select on tables to bellhop_reader;
