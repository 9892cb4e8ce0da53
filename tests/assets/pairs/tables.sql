-- What an order needs at the least, in a database of its own.
create database :"database";

\connect :"database"

create table orders (
    order_id bigint generated always as identity primary key,
    status text not null default 'pending',
    sku text not null,
    quantity integer not null,
    minor_units bigint not null
);

create table reservations (
    order_id bigint primary key,
    status text not null default 'held',
    quantity integer not null
);

create table payments (
    order_id bigint primary key,
    status text not null default 'intended',
    minor_units bigint not null
);
