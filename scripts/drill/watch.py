"""Prometheus, Alertmanager and node-exporter over a platform."""

import http.server
import json
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

from drill.ask import Failed, expect, request, wait_for

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "helm/cloudretail/monitoring"
TOOLS = ROOT / ".tools/prometheus/usr/bin"

FOR_DIVIDED_BY = 10
SCRAPE_EVERY_S = 5


class Watch:
    """Prometheus, Alertmanager and node-exporter with the tree's files, and what they say."""

    def __init__(self, stack, platform, folder):
        self.told, self.began = [], time.monotonic()
        own = self.serve(stack)
        ports = [free_port() for _ in range(3)]
        self.prometheus, self.alertmanager, node = [f"http://127.0.0.1:{port}" for port in ports]
        targets = {job: f"127.0.0.1:{port}" for job, port in platform.admin.items()}
        targets |= {"node": node.removeprefix("http://"), "cluster": own}
        config = write_config(folder, targets, self.alertmanager.removeprefix("http://"), own)
        listen = [f"--web.listen-address=127.0.0.1:{port}" for port in ports]
        start = Starter(stack, folder)
        start("prometheus-node-exporter", listen[2])
        start("prometheus-alertmanager", listen[1], "--cluster.listen-address=",
              f"--config.file={folder / 'alertmanager.yaml'}", f"--storage.path={folder / 'alerts'}")
        remember_last_week(folder)
        start("prometheus", listen[0], f"--config.file={config}",
              f"--storage.tsdb.path={folder / 'series'}")

        def ready():
            start.expect_all()
            known = request("GET", f"{self.alertmanager}/api/v2/alerts")[0]
            return known == 200 and self.targets_up() == len(targets)

        wait_for("Prometheus reads every target and Alertmanager answers", 60, ready)

    def serve(self, stack):
        """The samples at /metrics; what Alertmanager tells its receivers comes here too."""
        watch = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = samples(time.monotonic() - watch.began).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                watch.told += [(told["receiver"], alert["labels"]) for alert in told["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        return f"127.0.0.1:{server.server_port}"

    def targets_up(self):
        answer = request("GET", f"{self.prometheus}/api/v1/query?query=up==1")[1]
        return len(answer["data"]["result"]) if answer else 0

    def states(self, wanted):
        """How Prometheus and Alertmanager see the alerts with these labels."""
        rules = expect("GET", f"{self.prometheus}/api/v1/alerts")
        known = expect("GET", f"{self.alertmanager}/api/v2/alerts")
        states = {one["state"] for one in rules["data"]["alerts"] if matches(one, wanted)}
        return states | {one["status"]["state"] for one in known if matches(one, wanted)}

    def receivers(self, wanted, since):
        """Who was told of it, after the first `since` messages."""
        told = self.told[since:]
        return {receiver for receiver, labels in told if matches({"labels": labels}, wanted)}

    def summary(self):
        known = expect("GET", f"{self.alertmanager}/api/v2/alerts")
        return ", ".join(sorted({one["labels"]["alertname"] for one in known})) or "no alert"


def matches(alert, wanted):
    return wanted.items() <= alert["labels"].items()


class Starter:
    """Starts programs that end with the drill, however that ends."""

    # Debian's Alertmanager reads a template below /usr/share; there it finds the one beside it.
    COMMAND = 'mount --rbind "$0" /usr/share && exec setpriv --pdeathsig TERM "$@"'

    def __init__(self, stack, folder):
        self.stack, self.folder, self.running = stack, folder, {}

    def __call__(self, name, *arguments):
        log = self.stack.enter_context(open(self.folder / f"{name}.log", "w"))
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", self.COMMAND,
                   TOOLS.parent / "share", TOOLS / name, *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        self.running[name] = process
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)

    def expect_all(self):
        for name, process in self.running.items():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text().splitlines()[-5:]
                raise Failed("\n".join([f"{name} has ended:", *log]))


def write_config(folder, targets, alertmanager, receiver):
    (folder / "rules").mkdir()
    for file in (MONITORING / "rules").glob("*.yaml"):
        (folder / "rules" / file.name).write_text(divide_for(file.read_text()))
    # Everybody who would be told tells the drill.
    told = f"\\g<0>\n    webhook_configs: [{{url: 'http://{receiver}'}}]"
    routes = (MONITORING / "alertmanager.yaml").read_text()
    (folder / "alertmanager.yaml").write_text(re.sub(r"(?m)^  - name: \w+$", told, routes))
    every = f"{SCRAPE_EVERY_S}s"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(folder / "rules/*.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "honor_labels": True,
             "static_configs": [{"targets": [target], "labels": {"namespace": "cloudretail"}}]}
            for job, target in targets.items()
        ],
    }
    file = folder / "prometheus.json"
    file.write_text(json.dumps(config))  # JSON is YAML.
    return file


def remember_last_week(folder):
    """A few orders around this hour a week ago, for what compares with them."""
    week_ago = int(time.time()) - 7 * 24 * 3600
    series = "namespace:orders_confirmed:rate5m"
    lines = [f'{series}{{namespace="cloudretail"}} 0.01 {second}'
             for second in range(week_ago - 3600, week_ago + 3600, 15)]
    file = folder / "last-week.txt"
    file.write_text("\n".join([f"# TYPE {series} gauge", *lines, "# EOF\n"]))
    subprocess.run([TOOLS / "promtool", "tsdb", "create-blocks-from", "openmetrics", file,
                    folder / "series"], check=True, text=True, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)


def divide_for(rules):
    def divided(match):
        seconds = int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]]
        return f"{match[1]}{max(1, seconds // FOR_DIVIDED_BY)}s"
    return re.sub(r"(?m)^( +for: )(\d+)([smh])$", divided, rules)


def samples(age):
    lines, kind = [], ""
    for line in (MONITORING / "tests/cluster.prom").read_text().splitlines():
        if line.startswith("#"):
            kind = line.split()[-1]
        elif kind == "counter":
            series, value = line.rsplit(" ", 1)
            line = f"{series} {float(value) * age}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
