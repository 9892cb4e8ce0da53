"""A platform of the drill's own, and the people who use it."""

import concurrent.futures
import itertools
import json
import subprocess
import threading
import time
import uuid

from drill.ask import Failed, expect, request, wait_for

SERVICES = ("gateway", "user", "product", "order", "inventory", "payment")
SETTINGS = {
    # In place of 900 s, and of 60.
    "payment": "PAYMENT_LIMBO_AFTER_S=20\n",
    # Few logins, and patience: a busy machine is none of the faults.
    "gateway": "GATEWAY_ACCOUNT_LOGINS_PER_MINUTE=5\n"
               "GATEWAY_READ_BUDGET_MS=5000\nGATEWAY_WRITE_BUDGET_MS=10000\n",
}
READS_PER_SECOND = 20
ORDER_EVERY_S = 2
CUSTOMERS = 16


class Platform:
    """A devstack with a home of its own, and what the drill does to it."""

    def __init__(self, stack, program, folder):
        self.program, self.home, self.load = program, folder / "platform", None
        (self.home / "settings").mkdir(parents=True)
        for service, lines in SETTINGS.items():
            (self.home / f"settings/{service}.env").write_text(lines)
        # It removes the platform when its input ends: now and then that is a killed drill's.
        reaper = subprocess.Popen([program, "--home", self.home, "reap"], stdin=subprocess.PIPE)
        stack.callback(reaper.wait)
        stack.callback(reaper.stdin.close)
        self.devstack("up", "--ports", "free")
        ports = json.loads((self.home / "state.json").read_text())["ports"]
        self.admin = dict(zip(SERVICES, ports["admin"]))
        self.api = f"http://127.0.0.1:{ports['main'][0]}/api"

    def command(self, *arguments):
        return [self.program, "--home", self.home, *arguments]

    def devstack(self, *arguments):
        subprocess.run(self.command(*arguments), check=True, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def psql(self, service, shard):
        """A session of the tables' owner; it ends with its input."""
        return subprocess.Popen(self.command("psql", service, shard, "--quiet"), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


class Customer:
    def __init__(self, platform):
        self.api = platform.api
        self.email, password = f"drill-{uuid.uuid4()}@example.com", uuid.uuid4().hex
        known = {"email": self.email, "password": password}
        expect("POST", f"{self.api}/users", {**known, "name": "A Customer"})
        token = expect("POST", f"{self.api}/auth/login", known)["accessToken"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def put_into_cart(self, sku):
        item = {"sku": sku, "quantity": 1}
        return request("POST", f"{self.api}/cart/items", item, self.headers)[0]

    def place(self, payment_token="tok_ok"):
        address = {"name": "A Customer", "line1": "1 Example Street", "city": "Springfield",
                   "postalCode": "12345", "country": "US"}
        order = {"shippingAddress": address, "paymentMethod": {"token": payment_token}}
        headers = {**self.headers, "Idempotency-Key": str(uuid.uuid4())}
        return request("POST", f"{self.api}/orders", order, headers)

    def status_of(self, order_id):
        answer = request("GET", f"{self.api}/orders/{order_id}", headers=self.headers)[1]
        return answer and answer["status"]

    def status_of_payment(self, order):
        url = f"{self.api}/payments/{order['paymentId']}"
        answer = request("GET", url, headers=self.headers)[1]
        return answer and answer["status"]

    def cancel(self, order):
        expect("POST", f"{self.api}/orders/{order['id']}/cancel", {}, self.headers)


class Load:
    """Reads at a steady pace, and orders; `with` begins and ends it."""

    def __init__(self, platform):
        self.platform = platform
        self.ended, self.with_orders = threading.Event(), threading.Event()
        self.statuses, self.counting = {}, threading.Lock()
        self.customers = [Customer(platform) for _ in range(CUSTOMERS)]
        products = expect("GET", f"{platform.api}/products?limit=40")["items"]
        skus = [product["variants"][0]["sku"] for product in products]
        levels = [expect("GET", f"{platform.api}/inventory/{sku}") for sku in skus]
        self.skus = [level["sku"] for level in levels if level["available"] >= 20]
        self.paths = [f"/products/{product['id']}" for product in products]
        self.paths += [f"/inventory/{sku}" for sku in self.skus]
        self.paths += [f"/products/search?q={word}" for word in ("mug", "flask", "radio")]
        self.paths += ["/categories", "/cart", "/orders"]

    def __enter__(self):
        self.with_orders.set()
        self.threads = [threading.Thread(target=work) for work in (self.read, self.order)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def count(self, status):
        with self.counting:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def read(self):
        due = time.monotonic()
        for path in itertools.cycle(self.paths):
            # What was missed while an answer took long is not made up for.
            due = max(due + 1 / READS_PER_SECOND, time.monotonic())
            if self.ended.wait(due - time.monotonic()):
                return
            # The gateway keeps answers for guests alone.
            headers = None if path == "/categories" else self.customers[0].headers
            self.count(request("GET", self.platform.api + path, headers=headers)[0])

    def order(self):
        for customer, sku in zip(itertools.cycle(self.customers[1:]), itertools.cycle(self.skus)):
            if self.ended.wait(ORDER_EVERY_S):
                return
            if self.with_orders.is_set():
                self.count(customer.put_into_cart(sku))
                self.count(customer.place()[0])

    def summary(self):
        counts = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return f"{counts} (599: no answer)"


def meet_what_is_rare(platform):
    """What some panels show, and a healthy platform has not."""
    meet_limit_of_logins(platform)
    meet_fence(platform)
    meet_refund(platform)


def meet_limit_of_logins(platform):
    login = {"email": f"{uuid.uuid4()}@example.com", "password": "not a password of anybody"}
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        url = f"{platform.api}/auth/login"
        answers = [threads.submit(request, "POST", url, login) for _ in range(16)]
    if 429 not in (statuses := [answer.result()[0] for answer in answers]):
        raise Failed(f"logins to one account are not limited: {statuses}")


def meet_fence(platform):
    headers = platform.load.customers[0].headers
    write = threading.Thread(target=request, args=(
        "PATCH", f"{platform.api}/users/me", {"name": "Another Name"}, headers))
    set_slots(platform, "fenced", instead_of="active")
    write.start()
    time.sleep(0.5)
    set_slots(platform, "active", instead_of="fenced")
    write.join()


def meet_refund(platform):
    customer, order = buy(platform)
    customer.cancel(order)
    wait_for("refund: the money is given back", 30,
             lambda: customer.status_of_payment(order) == "refunded")


def buy(platform):
    """A new customer with an order whose money is taken."""
    customer = Customer(platform)
    # What the faults leave alone.
    customer.put_into_cart(platform.load.skus[-1])
    status, order = customer.place()
    if order is None:
        raise Failed(f"an order is answered with {status}")
    wait_for(f"the money of order {order['id']} is taken", 30,
             lambda: customer.status_of_payment(order) == "captured")
    return customer, order


def set_slots(platform, state, instead_of):
    change = f"update slot_owner set state = '{state}' where state = '{instead_of}'"
    for shard in ("a", "b"):
        platform.devstack("psql", "user", shard, "-c", change)
