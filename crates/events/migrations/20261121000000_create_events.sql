create table outbox (
    slot smallint not null,
    id bigint generated always as identity,
    event_id uuid not null,
    topic text not null,
    key text not null,
    type text not null,
    version bigint,
    traceparent text,
    created_at timestamptz not null default now(),
    payload bytea not null,
    constraint outbox_pkey primary key (slot, id)
);

-- The relay reads in the order of id over all slots; without this each poll would sort the table.
create index outbox_id_idx on outbox (id);

create table inbox (
    slot smallint not null,
    consumer text not null,
    event_id uuid not null,
    received_at timestamptz not null default now(),
    constraint inbox_pkey primary key (slot, consumer, event_id)
);

create table parked_events (
    slot smallint not null,
    consumer text not null,
    key text not null,
    seq bigint generated always as identity,
    event_id uuid not null,
    type text not null,
    version bigint,
    traceparent text,
    created_at timestamptz not null,
    payload bytea not null,
    attempts integer not null default 0,
    -- Null: given up, until an operator replays it.
    retry_at timestamptz default now(),
    reason text not null,
    constraint parked_events_pkey primary key (slot, consumer, key, seq)
);

create index parked_events_retry_at_idx on parked_events (consumer, retry_at);
