create table effects (
    slot smallint not null,
    consumer text not null,
    key text not null,
    seq bigint generated always as identity,
    reason text not null,
    constraint effects_pkey primary key (slot, consumer, key, seq)
);
