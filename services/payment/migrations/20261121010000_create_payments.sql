-- One payment of one order. What operations under way have reserved is in the pending columns, so
-- that no two of them can be granted the same money.
create table payments (
    slot smallint not null,
    payment_id uuid not null,
    order_id uuid not null,
    -- Null where a payment was voided before anything else was known of it; its currency is then XXX.
    user_id uuid,
    currency text not null,
    authorized bigint not null default 0,
    captured bigint not null default 0,
    refunded bigint not null default 0,
    capture_pending bigint not null default 0,
    refund_pending bigint not null default 0,
    voiding boolean not null default false,
    ended text,
    status text not null generated always as (
        case
            when ended is not null then ended
            when captured > 0 and refunded = captured then 'refunded'
            when refunded > 0 then 'partially_refunded'
            when captured > 0 then 'captured'
            when authorized > 0 then 'authorized'
            else 'pending'
        end
    ) stored,
    -- The provider's name for the authorization.
    provider_ref text,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint payments_pkey primary key (slot, payment_id),
    constraint payments_ended check (ended in ('voided', 'declined')),
    constraint payments_pending check (capture_pending >= 0 and refund_pending >= 0),
    constraint payments_captured check (captured >= 0 and captured + capture_pending <= authorized),
    constraint payments_refunded check (refunded >= 0 and refunded + refund_pending <= captured),
    constraint payments_voided check (
        (ended is null and not voiding) or captured + capture_pending = 0
    )
);

-- For the gauge of money that is held and neither taken nor let go.
create index payments_authorized on payments (created_at) where status = 'authorized';

-- One intent to move money, committed before the provider is called. Its id is the provider's
-- idempotency key for ever.
create table operations (
    slot smallint not null,
    operation_id uuid not null,
    payment_id uuid not null,
    kind text not null,
    -- The caller's idempotency key, and the hash of what was asked under it.
    key text not null,
    request_hash bytea not null,
    state text not null,
    minor_units bigint not null,
    currency text not null,
    -- Needed to repeat an authorization; forgotten when it is settled.
    payment_token text,
    provider_ref text,
    reason text,
    traceparent text,
    attempts integer not null default 0,
    -- When the resolver takes it up, unless it is settled by then.
    due_at timestamptz not null,
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    constraint operations_pkey primary key (slot, operation_id),
    constraint operations_key unique (slot, payment_id, key),
    constraint operations_kind check (kind in ('authorize', 'capture', 'void', 'refund')),
    constraint operations_state check (state in ('pending', 'unknown', 'succeeded', 'declined')),
    constraint operations_settled check ((settled_at is not null) = (state in ('succeeded', 'declined'))),
    constraint operations_token check (payment_token is null or settled_at is null),
    constraint operations_minor_units check (minor_units >= 0)
);

create index operations_due_at on operations (due_at) where state in ('pending', 'unknown');

-- The ledger. An account's balance is what was credited to it less what was debited.
create table accounts (
    slot smallint not null,
    kind text not null,
    currency text not null,
    balance bigint not null default 0,
    constraint accounts_pkey primary key (slot, kind, currency),
    constraint accounts_kind check (
        kind in ('customer_hold', 'merchant_pending', 'provider_receivable', 'merchant_revenue', 'refunds')
    )
);

-- Append-only. A hold is pending until posts and voids, which name it, have undone it.
create table transfers (
    slot smallint not null,
    transfer_id uuid not null,
    payment_id uuid not null,
    operation_id uuid not null,
    kind text not null,
    debit text not null,
    credit text not null,
    minor_units bigint not null,
    currency text not null,
    pending_id uuid,
    created_at timestamptz not null default now(),
    constraint transfers_pkey primary key (slot, transfer_id),
    constraint transfers_once unique (slot, operation_id, kind),
    constraint transfers_kind check (kind in ('hold', 'post', 'charge', 'void', 'refund')),
    constraint transfers_minor_units check (minor_units > 0),
    constraint transfers_accounts check (debit <> credit),
    constraint transfers_pending check ((pending_id is not null) = (kind in ('post', 'void')))
);

create index transfers_payment_id on transfers (slot, payment_id);
