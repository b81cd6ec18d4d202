-- Calls that move money and that the marketplace does not recognise when they come twice. One row a
-- job: the intent is committed before the call, and what became of it is never guessed.
create table ledger (
    id bigint generated always as identity primary key,
    job_id bigint not null unique,
    application_id bigint not null,
    location_id bigint not null,
    rule text,
    kind text not null check (kind in ('payment', 'refund')),
    -- intended: it has not left us. unknown: it may have; look before doing anything.
    state text not null default 'intended' check (state in ('intended', 'unknown', 'done', 'failed')),
    -- The marketplace's number: of the payment that was reported, or that is to be refunded.
    payment_id bigint,
    amount numeric,
    currency text,
    paid_at timestamptz,
    period_from timestamptz,
    period_to timestamptz,
    -- Payments that were there before the call.
    seen bigint[] not null default '{}',
    calls int not null default 0,
    called_at timestamptz,
    note text,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index ledger_by_place on ledger (application_id, location_id, id);
create index ledger_open on ledger (state) where state in ('intended', 'unknown');
-- A payment is the answer to one report.
create unique index ledger_payments on ledger (application_id, payment_id) where kind = 'payment';
