"""Asking over HTTP, and waiting for an answer."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request

# Set when the drill is ended from outside: nobody waits on.
STOPPING = threading.Event()


class Failed(Exception):
    pass


def wait_for(what, limit, condition):
    """The first true answer of `condition`."""
    give_up_at = time.monotonic() + limit
    while time.monotonic() < give_up_at:
        if answer := condition():
            return answer
        if STOPPING.wait(0.5):
            raise Failed(f"{what}: given up")
    raise Failed(f"{what}: not within {limit} s")


def request(method, url, body=None, headers=None):
    """Status and decoded answer; 599 without one."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", **(headers or {})}
    asked = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=15) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except (OSError, http.client.HTTPException):
        return 599, None


def expect(method, url, body=None, headers=None):
    status, answer = request(method, url, body, headers)
    if status >= 400:
        raise Failed(f"{method} {url} is answered with {status}")
    return answer
