create table stock (
    slot smallint not null,
    sku text not null,
    warehouse_id text not null,
    -- Below zero: units that were claimed on backorder and are still owed.
    on_hand bigint not null,
    reserved bigint not null default 0,
    backorder_limit bigint not null,
    low_stock_threshold bigint not null,
    policy text not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint stock_pkey primary key (slot, sku, warehouse_id),
    constraint stock_reserved check (reserved between 0 and on_hand + backorder_limit),
    constraint stock_backorder_limit check (backorder_limit >= 0),
    constraint stock_low_stock_threshold check (low_stock_threshold >= 0),
    constraint stock_policy check (policy in ('none', 'reserve_on_order', 'track'))
);

-- For lists over all slots. Not on what is low: every reservation would then have to write the index.
create index stock_sku_warehouse_id on stock (sku, warehouse_id);

-- What an order holds or has taken of a SKU. A released one is a tombstone: it refuses a late reserve.
create table reservations (
    slot smallint not null,
    sku text not null,
    order_id uuid not null,
    state text not null,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    constraint reservations_pkey primary key (slot, sku, order_id),
    constraint reservations_state check (state in ('held', 'claimed', 'released', 'expired')),
    constraint reservations_expires_at check (expires_at is not null or state = 'released')
);

create index reservations_held_expires_at on reservations (expires_at) where state = 'held';

-- Only while the reservation is held or claimed.
create table reservation_parts (
    slot smallint not null,
    sku text not null,
    order_id uuid not null,
    warehouse_id text not null,
    quantity bigint not null,
    -- Whether the stock row knows of it; the policy may have changed since.
    counted boolean not null,
    constraint reservation_parts_pkey primary key (slot, sku, order_id, warehouse_id),
    constraint reservation_parts_quantity check (quantity > 0)
);

create table adjustments (
    slot smallint not null,
    sku text not null,
    adjustment_id uuid not null,
    warehouse_id text not null,
    delta bigint not null,
    reason text not null,
    "by" uuid,
    created_at timestamptz not null default now(),
    constraint adjustments_pkey primary key (slot, sku, adjustment_id),
    constraint adjustments_delta check (delta <> 0)
);

create table pick_lists (
    slot smallint not null,
    order_id uuid not null,
    warehouse_id text not null,
    lines jsonb not null,
    state text not null default 'open',
    created_at timestamptz not null default now(),
    constraint pick_lists_pkey primary key (slot, order_id, warehouse_id),
    constraint pick_lists_state check (state in ('open', 'done', 'cancelled'))
);
