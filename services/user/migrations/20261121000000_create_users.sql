create table users (
    slot smallint not null,
    user_id uuid not null,
    -- The normal form. Personal data is null once the account is erased.
    email text,
    password_hash text,
    name text,
    role text not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    erased_at timestamptz,
    constraint users_pkey primary key (slot, user_id),
    constraint users_role_check check (role in ('customer', 'staff', 'admin')),
    constraint users_erased_check check (
        (erased_at is null) = (email is not null)
        and (erased_at is null) = (password_hash is not null)
        and (erased_at is null) = (name is not null)
    )
);

create table sessions (
    slot smallint not null,
    session_id uuid not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint sessions_pkey primary key (slot, session_id)
);

create index sessions_user_id_idx on sessions (slot, user_id) where revoked_at is null;

create table refresh_tokens (
    slot smallint not null,
    session_id uuid not null,
    generation integer not null,
    -- SHA-256; the secret itself is nowhere.
    secret_hash bytea not null,
    created_at timestamptz not null default now(),
    used_at timestamptz,
    constraint refresh_tokens_pkey primary key (slot, session_id, generation)
);

create table addresses (
    slot smallint not null,
    address_id uuid not null,
    user_id uuid not null,
    name text not null,
    line1 text not null,
    line2 text,
    city text not null,
    region text,
    postal_code text not null,
    country text not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint addresses_pkey primary key (slot, address_id)
);

create index addresses_user_id_idx on addresses (slot, user_id);

create table mails (
    slot smallint not null,
    -- The event that the mail tells of: one mail for each.
    event_id uuid not null,
    user_id uuid not null,
    kind text not null,
    subject text not null,
    body text not null,
    state text not null default 'pending',
    attempts integer not null default 0,
    due_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    constraint mails_pkey primary key (slot, event_id),
    constraint mails_state_check check (state in ('pending', 'sent', 'dropped', 'failed'))
);

create index mails_due_at_idx on mails (due_at) where state = 'pending';
