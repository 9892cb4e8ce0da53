create table notes (
    slot smallint not null,
    note_id uuid not null,
    body text not null,
    version bigint not null default 1,
    constraint notes_pkey primary key (slot, note_id)
);

-- Its commits take three seconds: the check is deferred to them.
create table slow_notes (
    slot smallint not null,
    note_id uuid not null,
    constraint slow_notes_pkey primary key (slot, note_id)
);

create function be_slow() returns trigger language plpgsql as $$
begin
    perform pg_sleep(3);
    return null;
end
$$;

create constraint trigger slow_notes_commit after insert on slow_notes
deferrable initially deferred
for each row execute function be_slow();
