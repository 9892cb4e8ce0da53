"""Sees each fault found in doctored records."""

import sys

from cluster.books import PIECES, check_books
from cluster.kube import Fault
from cluster.load import Log


def self_test():
    """Each fault by its words: what the load says, and what the databases say."""
    good = "order k1 a\norder k2 b\nrequest GET / 200\nphase roll\nrequest GET / 200\nphase\n"
    books = {
        "orders": [("a", "confirmed", "100", "1", "f"), ("b", "confirmed", "100", "1", "f")],
        "payments": [("a", "100", "1"), ("b", "100", "1")],
        "stock": [(str(PIECES - 2), "0")],
    }
    cases = [
        ("nothing", good, {}, []),
        ("an unanswered order", good + "unanswered k3\n", {}, ["order k3 was never answered"]),
        ("a lost order", good + "order k3 c\n", {}, ["order k3 (c) is lost"]),
        ("an order twice", good.replace("order k2 b\n", ""), {}, ["order b is one that nobody placed"]),
        ("two orders as one", good + "order k3 a\n", {}, ["two orders were answered as one"]),
        (
            "a pending order",
            good,
            {"orders": [books["orders"][0], ("b", "pending", "100", "1", "t")]},
            ["order k2 (b) is pending and not settled"],
        ),
        (
            "money taken twice",
            good,
            {"payments": [("a", "100", "1"), ("b", "200", "2")]},
            ["order k2 is for 100, captured and how often: ('200', '2')"],
        ),
        ("stock that is gone", good, {"stock": [(str(PIECES - 3), "0")]}, ["2 of 100000 were sold"]),
        ("stock that is held", good, {"stock": [(str(PIECES - 2), "1")]}, ["2 of 100000 were sold"]),
    ]
    for what, log, changed, wanted in cases:
        found = check_books(Log(log), **{**books, **changed})
        if len(found) != len(wanted) or not all(map(str.startswith, found, wanted)):
            sys.exit(f"cluster-test: {what} was not found: {found}")
        print(f"found: {what}{': ' if found else ''}{' '.join(found)}")
    for what, spoilt, wanted in [
        ("a failed request", good.replace("roll\nrequest GET / 200", "roll\nrequest GET / 503"), "among them GET / 503"),
        ("no answer", good.replace("roll\nrequest GET / 200", "roll\nrequest GET / 000"), "among them GET / 000"),
        ("a failure among many", good.replace("phase\n", "requests 10 1\nphase\n"), "11 requests, 1 failed"),
        ("a load that stands still", good.replace("roll\nrequest GET / 200", "roll"), "there was no load"),
        ("words that mean nothing", good + "sh: curl: not found\n", "sh: curl: not found"),
    ]:
        try:
            Log(spoilt).phases["roll"].without_failure()
        except Fault as fault:
            if wanted not in str(fault):
                sys.exit(f"cluster-test: {what}: {fault}")
            print(f"found: {what}: {fault}")
        else:
            sys.exit(f"cluster-test: {what} was not found")
