-- Reserve, claim, release and expire, each for one SKU of one order in one statement.
--
-- They are plpgsql because each of its statements sees what was committed while the lock was waited
-- for. Each answers with the outcome, with whether anything changed, and then with the stock of
-- every warehouse after the change.

-- Whoever changes a SKU's stock, or what is held of it, does this first and alone until the commit.
-- Not a lock on rows: a SKU without stock has none, and rows that are added meanwhile would be missed.
create function lock_sku(of_slot smallint, of_sku text) returns void
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(of_sku, of_slot));
end
$$;

-- Splits the wanted units over the warehouses: what is on hand first, then what may be backordered.
-- False, and nothing done, when there are not enough.
create function insert_parts(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    wanted bigint
) returns boolean
language plpgsql volatile as $$
begin
    insert into reservation_parts (slot, sku, order_id, warehouse_id, quantity, counted)
    with offers as (
        select
            warehouse_id,
            policy <> 'none' as counted,
            units,
            sum(units) over (order by rank, warehouse_id) as units_so_far
        from stock
        cross join lateral (
            values
                (1, case when policy = 'none' then wanted else greatest(on_hand - reserved, 0) end),
                (2, case when policy = 'none' then 0 else least(on_hand - reserved, 0) + backorder_limit end)
        ) as offer (rank, units)
        where slot = of_slot and sku = of_sku
    ),
    parts as (
        select
            warehouse_id,
            counted,
            sum(least(units, greatest(wanted - (units_so_far - units), 0))) as quantity
        from offers
        group by warehouse_id, counted
    )
    select of_slot, of_sku, of_order, warehouse_id, quantity, counted
    from parts
    where quantity > 0 and wanted <= (select max(units_so_far) from offers);
    return found;
end
$$;

-- Moves the order's units through the stock, by -1, 0 or 1 times their number.
create function move_parts(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    on_hand_by integer,
    reserved_by integer
) returns void
language plpgsql volatile as $$
begin
    update stock
    set on_hand = stock.on_hand + on_hand_by * part.quantity,
        reserved = stock.reserved + reserved_by * part.quantity,
        version = stock.version + 1
    from reservation_parts as part
    where stock.slot = of_slot
        and stock.sku = of_sku
        and part.slot = of_slot
        and part.sku = of_sku
        and part.order_id = of_order
        and part.warehouse_id = stock.warehouse_id
        and part.counted;
end
$$;

-- The stock of every warehouse, with the order's part in it.
create function describe_stock(of_slot smallint, of_sku text, of_order uuid) returns jsonb
language plpgsql volatile as $$
begin
    return (
        select coalesce(
            jsonb_agg(
                to_jsonb(stock) || jsonb_build_object(
                    'quantity', coalesce(part.quantity, 0),
                    'counted', coalesce(part.counted, false)
                )
                order by stock.warehouse_id
            ),
            '[]'
        )
        from stock
        left join reservation_parts as part
            on part.slot = stock.slot
            and part.sku = stock.sku
            and part.warehouse_id = stock.warehouse_id
            and part.order_id = of_order
        where stock.slot = of_slot and stock.sku = of_sku
    );
end
$$;

-- Outcomes: held, out_of_stock, unknown_sku, released. An expired reservation may be held again.
create function reserve_stock(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    wanted bigint,
    hold interval,
    out outcome text,
    out changed boolean,
    out held_until timestamptz,
    out warehouses jsonb
)
language plpgsql volatile as $$
declare
    known text;
begin
    perform lock_sku(of_slot, of_sku);
    changed := false;
    select state, expires_at into known, held_until
    from reservations
    where slot = of_slot and sku = of_sku and order_id = of_order;
    if known in ('held', 'claimed') then
        outcome := 'held';
    elsif known = 'released' then
        outcome := 'released';
    elsif not exists (select from stock where slot = of_slot and sku = of_sku) then
        outcome := 'unknown_sku';
    elsif not insert_parts(of_slot, of_sku, of_order, wanted) then
        outcome := 'out_of_stock';
    else
        outcome := 'held';
        changed := true;
        held_until := now() + hold;
        insert into reservations as reservation (slot, sku, order_id, state, expires_at)
        values (of_slot, of_sku, of_order, 'held', held_until)
        on conflict on constraint reservations_pkey
        do update set state = 'held', expires_at = held_until;
        perform move_parts(of_slot, of_sku, of_order, 0, 1);
    end if;
    warehouses := describe_stock(of_slot, of_sku, of_order);
end
$$;

-- Outcomes: claimed, expired, released, unknown. A hold past its time that was not expired yet can
-- be claimed: the state decides, not the clock.
create function claim_stock(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    out outcome text,
    out changed boolean,
    out warehouses jsonb
)
language plpgsql volatile as $$
begin
    perform lock_sku(of_slot, of_sku);
    update reservations
    set state = 'claimed'
    where slot = of_slot and sku = of_sku and order_id = of_order and state = 'held';
    changed := found;
    if changed then
        perform move_parts(of_slot, of_sku, of_order, -1, -1);
    end if;
    select state into outcome
    from reservations
    where slot = of_slot and sku = of_sku and order_id = of_order;
    outcome := coalesce(outcome, 'unknown');
    warehouses := describe_stock(of_slot, of_sku, of_order);
end
$$;

-- Gives back what is held or claimed; where nothing is, leaves a tombstone. The outcome is what was
-- there before: held, claimed, released, expired, unknown.
create function release_stock(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    out outcome text,
    out changed boolean,
    out warehouses jsonb
)
language plpgsql volatile as $$
begin
    perform lock_sku(of_slot, of_sku);
    select state into outcome
    from reservations
    where slot = of_slot and sku = of_sku and order_id = of_order;
    outcome := coalesce(outcome, 'unknown');
    changed := outcome in ('held', 'claimed');
    if outcome = 'held' then
        perform move_parts(of_slot, of_sku, of_order, 0, -1);
    elsif outcome = 'claimed' then
        perform move_parts(of_slot, of_sku, of_order, 1, 0);
    end if;
    warehouses := describe_stock(of_slot, of_sku, of_order);
    delete from reservation_parts
    where slot = of_slot and sku = of_sku and order_id = of_order;
    insert into reservations as reservation (slot, sku, order_id, state)
    values (of_slot, of_sku, of_order, 'released')
    on conflict on constraint reservations_pkey
    do update set state = 'released'
    where reservation.state <> 'released';
end
$$;

-- Gives back what is held past its time. Outcomes: expired, unknown.
create function expire_stock(
    of_slot smallint,
    of_sku text,
    of_order uuid,
    out outcome text,
    out changed boolean,
    out warehouses jsonb
)
language plpgsql volatile as $$
begin
    perform lock_sku(of_slot, of_sku);
    update reservations
    set state = 'expired'
    where slot = of_slot
        and sku = of_sku
        and order_id = of_order
        and state = 'held'
        and expires_at <= now();
    changed := found;
    outcome := case when changed then 'expired' else 'unknown' end;
    if changed then
        perform move_parts(of_slot, of_sku, of_order, 0, -1);
    end if;
    warehouses := describe_stock(of_slot, of_sku, of_order);
    delete from reservation_parts
    where changed and slot = of_slot and sku = of_sku and order_id = of_order;
end
$$;
