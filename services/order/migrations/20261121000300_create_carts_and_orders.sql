create table carts (
    slot smallint not null,
    cart_id uuid not null,
    user_id uuid,
    secret_hash bytea,
    -- `merging`: no longer changed, until its lines are in the cart of `merged_into`.
    state text not null default 'open',
    merged_into uuid,
    version bigint not null default 1,
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint carts_pkey primary key (slot, cart_id),
    constraint carts_state check (state in ('open', 'merging', 'merged')),
    constraint carts_owner check ((user_id is null) <> (secret_hash is null)),
    constraint carts_merged_into check ((state = 'open') = (merged_into is null))
);

create unique index carts_open_of_user_key on carts (slot, user_id)
where state = 'open' and user_id is not null;

create index carts_expires_at_idx on carts (expires_at);

create index carts_merging_idx on carts (updated_at) where state = 'merging';

create table cart_items (
    slot smallint not null,
    cart_id uuid not null,
    sku text not null,
    product_id uuid not null,
    name text not null,
    options jsonb not null,
    quantity integer not null,
    -- The price that the customer saw last.
    minor_units bigint not null,
    currency text not null,
    created_at timestamptz not null default now(),
    constraint cart_items_pkey primary key (slot, cart_id, sku),
    constraint cart_items_cart foreign key (slot, cart_id) references carts on delete cascade,
    constraint cart_items_quantity check (quantity > 0),
    constraint cart_items_minor_units check (minor_units >= 0)
);

-- Which guests' carts a user's cart has taken in: each once, however often it is tried.
create table cart_merges (
    slot smallint not null,
    cart_id uuid not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    constraint cart_merges_pkey primary key (slot, cart_id)
);

create table orders (
    slot smallint not null,
    order_id uuid not null,
    user_id uuid not null,
    number text not null,
    status text not null,
    needs_operator boolean not null default false,
    minor_units bigint not null,
    currency text not null,
    -- Null once the customer is erased.
    shipping_address jsonb,
    payment_id uuid not null,
    traceparent text,
    -- Why it was rejected, with what the customer is told.
    refusal jsonb,
    held_until timestamptz,
    -- What was answered first to whoever placed the order: a repeated request is answered the same.
    answered_status text,
    answered_version bigint,
    answered_at timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint orders_pkey primary key (slot, order_id),
    constraint orders_status check (
        status in (
            'pending', 'reserved', 'authorized', 'confirmed',
            'fulfilled', 'cancelling', 'cancelled', 'rejected'
        )
    ),
    constraint orders_minor_units check (minor_units >= 0),
    constraint orders_refusal check (refusal is null or status = 'rejected'),
    constraint orders_answer check (
        (answered_status is null) = (answered_version is null)
        and (answered_status is null) = (answered_at is null)
    )
);

create index orders_user_id_created_at_idx on orders (slot, user_id, created_at desc, order_id desc);

create table order_numbers (
    slot smallint not null,
    number text not null,
    order_id uuid not null,
    constraint order_numbers_pkey primary key (slot, number)
);

create table order_lines (
    slot smallint not null,
    order_id uuid not null,
    sku text not null,
    product_id uuid not null,
    name text not null,
    options jsonb not null,
    quantity integer not null,
    minor_units bigint not null,
    currency text not null,
    -- From which warehouses it comes: `[{"warehouse_id", "quantity"}]`.
    parts jsonb not null default '[]',
    fulfilled integer not null default 0,
    constraint order_lines_pkey primary key (slot, order_id, sku),
    constraint order_lines_order foreign key (slot, order_id) references orders,
    constraint order_lines_quantity check (quantity > 0),
    constraint order_lines_fulfilled check (fulfilled between 0 and quantity)
);

create table order_history (
    slot smallint not null,
    order_id uuid not null,
    version bigint not null,
    at timestamptz not null,
    "from" text,
    "to" text not null,
    by text not null,
    reason text,
    attempt integer not null,
    constraint order_history_pkey primary key (slot, order_id, version),
    constraint order_history_order foreign key (slot, order_id) references orders
);

-- What is still to be done for an order. No row: the order is settled.
create table saga_timers (
    slot smallint not null,
    order_id uuid not null,
    step text not null,
    attempt integer not null default 1,
    due_at timestamptz not null default now(),
    -- Until when a driver has it.
    lease_until timestamptz,
    -- Until the payment is authorized or refused.
    payment_token text,
    created_at timestamptz not null default now(),
    constraint saga_timers_pkey primary key (slot, order_id),
    constraint saga_timers_order foreign key (slot, order_id) references orders,
    constraint saga_timers_step check (step in ('reserve', 'authorize', 'settle', 'release', 'undo')),
    constraint saga_timers_payment_token check (
        payment_token is null or step in ('reserve', 'authorize')
    )
);

create index saga_timers_due_at_idx on saga_timers (due_at);

create table fulfillments (
    slot smallint not null,
    order_id uuid not null,
    fulfillment_id uuid not null,
    -- `[{"sku", "quantity"}]`.
    lines jsonb not null,
    tracking_number text,
    created_at timestamptz not null default now(),
    constraint fulfillments_pkey primary key (slot, order_id, fulfillment_id),
    constraint fulfillments_order foreign key (slot, order_id) references orders
);
