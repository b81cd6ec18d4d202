-- Few rows that people ask for often, among very many others: what comparing found, and jobs that were given up. `on only`
-- looks at no row and is there at once. Days to come get theirs when they are made; those that are there get theirs one
-- after another, while everything goes on (store/rare.rs).
create index events_of_comparing on only events (id) where source = 'reconciliation';
create index finished_jobs_discarded on only finished_jobs (id) where state = 'discarded';
