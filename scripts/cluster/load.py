"""The load: a pod of the cluster, and what it tells."""

import contextlib
import json
import secrets
import subprocess
import time

from cluster.books import PIECES
from cluster.kube import CHART, RELEASE, ROOT, Fault, helm, kubectl, kubectl_command, objects, rolled_out, until


class Log:
    """What the load did, by the phase in which it did it."""

    def __init__(self, text):
        self.phases, self.orders, self.unanswered = {}, {}, []
        phase = self.phases.setdefault("", Phase(""))
        for words in map(str.split, text.splitlines()):
            match words:
                case ["phase", name]:
                    phase = self.phases.setdefault(name, Phase(name))
                case ["phase"]:
                    phase = self.phases[""]
                case ["request", method, path, status]:
                    phase.count(1, [] if status.startswith("2") else [f"{method} {path} {status}"])
                case ["requests", count, failed]:
                    phase.count(int(count), ["GET of the heavy load"] * int(failed))
                case ["order", key, order_id]:
                    self.orders[key] = order_id
                case ["unanswered", key]:
                    self.unanswered.append(key)
                case _:
                    raise Fault(f"the load says: {' '.join(words)}")


class Phase:
    def __init__(self, name):
        self.name, self.seconds, self.requests, self.failed = name, 0, 0, []

    def count(self, requests, failed):
        self.requests += requests
        self.failed += failed

    def result(self):
        if self.requests == 0:
            raise Fault(f"{self.name}: there was no load")
        return f"{self.seconds:.0f} s; {self.requests} requests, {len(self.failed)} failed"

    def without_failure(self):
        result = self.result()
        if self.failed:
            raise Fault(f"{self.name}: {result}, among them {'; '.join(sorted(set(self.failed))[:5])}")
        return result


class Load:
    """A pod with customers; its log is the record."""

    def __init__(self):
        self.run = secrets.token_hex(4)
        self.sku = f"LOAD-{self.run}".upper()
        password = secrets.token_hex(16)
        email = f"staff-{self.run}@example.com"
        kubectl("exec", "--stdin", "deployment/user", "--", "user", "create-staff", "--email", email, input=password)
        files = [CHART / "files/shop.sh", ROOT / "scripts/cluster/load.sh"]
        kubectl("create", "configmap", "load", *[f"--from-file={file}" for file in files])
        environment = {
            "GATEWAY": "http://gateway:8080",
            "RUN": self.run,
            "SKU": self.sku,
            "PIECES": str(PIECES),
            "STAFF_EMAIL": email,
            "STAFF_PASSWORD": password,
        }
        image = json.loads(helm("get", "values", RELEASE, "--all", "--output", "json"))["images"]["curl"]
        kubectl("create", "--filename=-", input=json.dumps(pod(image, environment)))
        kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=2m")

        def orders():
            return self.log().orders

        until("the load has placed an order", orders, 120)

    def log(self):
        return Log(kubectl("logs", "load"))

    def mark(self, phase):
        kubectl("exec", "load", "--", "sh", "-c", f"echo phase {phase} >/proc/1/fd/1")

    @contextlib.contextmanager
    def phase(self, name):
        phase = Phase(name)
        self.mark(name)
        started = time.monotonic()
        yield phase
        phase.seconds = time.monotonic() - started
        # What is under way belongs to it.
        time.sleep(2)
        self.mark("")
        recorded = self.log().phases[name]
        phase.count(recorded.requests, recorded.failed)

    def stop(self):
        kubectl("exec", "load", "--", "touch", "/tmp/stop")
        kubectl("wait", "pod/load", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=3m")

    def remove(self):
        kubectl("delete", "pod/load", "configmap/load")


def pod(image, environment):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "load"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": image["user"],
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "load",
                    "image": image["name"],
                    "command": ["sh", "/scripts/load.sh", "steady"],
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
                }
            ],
            "volumes": [{"name": "scripts", "configMap": {"name": "load"}}],
        },
    }


def scale(load):
    """The gateway gets more pods under a heavy load, and gives them back."""

    def pods():
        status = objects("deployment/gateway")[0]["status"]
        return status.get("readyReplicas", 0), status.get("replicas", 0)

    with load.phase("scaling") as phase:
        heavy = ["exec", "load", "--", "sh", "/scripts/load.sh", "heavy", "120"]
        with subprocess.Popen(kubectl_command(*heavy), stdout=subprocess.PIPE, text=True) as process:
            started, most, up = time.monotonic(), 1, None
            while process.poll() is None:
                most = max(most, pods()[0])
                if most > 1 and up is None:
                    up = time.monotonic() - started
                time.sleep(1)
            heavily = Log(process.stdout.read()).phases[""]
        if heavily.requests == 0:
            raise Fault("scaling: the heavy load told of no request")
        if up is None:
            raise Fault(f"scaling: {heavily.requests} requests in 120 s, and the gateway stayed alone")
        started = time.monotonic()
        until("the gateway is alone again", lambda: pods() == (1, 1), 600)
        down = time.monotonic() - started
        rolled_out()
    phase.count(heavily.requests, heavily.failed)
    return f"1 to 2 pods in {up:.0f} s, at most {most}, alone again {down:.0f} s after the load; {phase.without_failure()}"
