-- Who may write a slot's rows here. `slot_guard` is the gate.
create table slot_owner (
    slot smallint primary key check (slot between 0 and 1023),
    state text not null check (state in ('active', 'fenced', 'importing', 'moved')),
    epoch bigint not null check (epoch > 0)
);

-- To be called in the message that opens a write transaction. Volatile, so that the check sees
-- what was committed while the lock was waited for.
create function slot_guard(guarded_slot smallint, known_epoch bigint) returns void
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(1936486260, guarded_slot);
    if not exists (
        select from slot_owner
        where slot = guarded_slot and state = 'active' and epoch = known_epoch
    ) then
        raise exception 'slot % is not active here at epoch %', guarded_slot, known_epoch
            using errcode = 'SH001';
    end if;
end
$$;

-- The map from slots to shards and the moves under way: kept on the first shard only.
create table slot_map (
    version bigint not null,
    slot smallint not null check (slot between 0 and 1023),
    shard text not null,
    epoch bigint not null check (epoch > 0),
    constraint slot_map_pkey primary key (version, slot)
);

create table slot_moves (
    slot smallint primary key check (slot between 0 and 1023),
    source text not null,
    target text not null,
    state text not null,
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- Keys that are unique across shards, each in the slot of its own hash.
create table directory (
    slot smallint not null,
    kind text not null,
    key text not null,
    owner_id uuid not null,
    state text not null check (state in ('reserved', 'active')),
    expires_at timestamptz not null,
    constraint directory_pkey primary key (slot, kind, key)
);

create table idempotency_keys (
    slot smallint not null,
    scope_id uuid not null,
    key text not null,
    request_hash bytea not null,
    state text not null check (state in ('in_progress', 'answered')),
    locked_until timestamptz not null,
    answer bytea,
    expires_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (slot, scope_id, key),
    constraint idempotency_keys_answered check ((state = 'answered') = (answer is not null))
);

create index idempotency_keys_expires_at on idempotency_keys (expires_at);
