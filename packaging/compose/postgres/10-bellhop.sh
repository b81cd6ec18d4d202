#!/usr/bin/env bash
# The role and the database of Bellhop. The role owns its database and nothing else: no superuser, no other databases, no
# other roles. It owns its tables, since a process makes and drops the tables of days, and migrates when it starts.
set -euo pipefail
url=$(cat "${DATABASE_SECRET:-/run/secrets/database}")
password=${url#*://bellhop:}
password=${password%@*}
# Not as an argument: those are for everybody to see.
password=$password psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" <<'SQL'
\getenv password password
create role bellhop login nosuperuser nocreatedb nocreaterole noreplication connection limit 80 password :'password';
create database bellhop owner bellhop;
revoke all on database bellhop from public;
revoke connect on database postgres, template1 from public;
SQL
