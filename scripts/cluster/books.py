"""What the databases say of the load's orders."""

from cluster.kube import Fault, kubectl, objects, until

# Pieces of the load's product at the beginning.
PIECES = 100_000

ORDERS = """
select o.order_id, o.status, o.minor_units, l.quantity,
    exists (select from saga_timers t where t.slot = o.slot and t.order_id = o.order_id)
from orders o
join order_lines l on l.slot = o.slot and l.order_id = o.order_id
join slot_owner on slot_owner.slot = o.slot and slot_owner.state = 'active'
where l.sku = '{sku}'"""
PAYMENTS = """
select p.order_id, p.captured - p.refunded,
    (select count(*) from operations
        where operations.slot = p.slot and operations.payment_id = p.payment_id and kind = 'capture'
            and state = 'succeeded')
from payments p
join slot_owner on slot_owner.slot = p.slot and slot_owner.state = 'active'"""
STOCK = """
select on_hand, reserved from stock
join slot_owner on slot_owner.slot = stock.slot and slot_owner.state = 'active'
where sku = '{sku}'"""


def settled(load):
    """Waits until everything that the load ordered is sold, paid and taken out of stock, once."""
    log = load.log()
    faults = []

    def agree():
        faults[:] = check_books(
            log,
            orders=rows("order", ORDERS, load.sku),
            payments=rows("payment", PAYMENTS, load.sku),
            stock=rows("inventory", STOCK, load.sku),
        )
        return not faults

    try:
        until("the books agree", agree, 120)
    except Fault as fault:
        raise Fault(f"{fault}: {len(faults)} faults, the first: {faults[0]}") from fault
    return f"{len(log.orders)} placed, confirmed, captured once and taken out of stock"


def check_books(log, orders, payments, stock):
    faults = [f"order {key} was never answered" for key in log.unanswered]
    known = {order_id: (status, total, timer) for order_id, status, total, _, timer in orders}
    captured = {order_id: (amount, captures) for order_id, amount, captures in payments}
    for key, order_id in log.orders.items():
        status, total, timer = known.get(order_id, ("lost", "", ""))
        if (status, timer) != ("confirmed", "f"):
            faults.append(f"order {key} ({order_id}) is {status}{' and not settled' if timer == 't' else ''}")
        elif captured.get(order_id) != (total, "1"):
            faults.append(f"order {key} is for {total}, captured and how often: {captured.get(order_id)}")
    if len(set(log.orders.values())) < len(log.orders):
        faults.append("two orders were answered as one")
    for order_id in known.keys() - set(log.orders.values()):
        faults.append(f"order {order_id} is one that nobody placed")
    sold = sum(int(quantity) for *_, quantity, _ in orders)
    if stock != [(str(PIECES - sold), "0")]:
        faults.append(f"{sold} of {PIECES} were sold; on hand and reserved: {stock}")
    return faults


def rows(service, sql, sku):
    """From every shard."""
    found = []
    for pod in objects("pods", "--selector", "cloudretail/kind=database"):
        name = pod["metadata"]["name"]
        if "-replica-" in name:
            continue
        psql = ["psql", "-XAtq", "-F", " ", "-h", "127.0.0.1", "-U", "postgres", "-d", service]
        answer = kubectl("exec", name, "--", *psql, "-c", sql.format(sku=sku))
        found += [tuple(line.split()) for line in answer.splitlines()]
    return found
