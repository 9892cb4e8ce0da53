"""The cluster of the current kube context, the release, and its namespace."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/cloudretail"
NAMESPACE = os.environ.get("NAMESPACE", "cloudretail-test")
RELEASE = "cloudretail"
SERVICES = ["gateway", "user", "product", "order", "inventory", "payment"]


class Fault(Exception):
    """What is wrong, in one line."""


def run(*command, input=None):
    words = [str(word) for word in command]
    done = subprocess.run(words, input=input, capture_output=True, text=True)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).splitlines()
        # Without the client's own log.
        said = " ".join(" ".join(line for line in lines if not re.match(r"[EWI]\d{4} ", line)).split())[-800:]
        raise Fault(f"{' '.join(words[:4])}: {said}")
    return done.stdout


def kubectl_command(*arguments, namespaced=True):
    return ["kubectl", *(["--namespace", NAMESPACE] if namespaced else []), *arguments]


def kubectl(*arguments, namespaced=True, input=None):
    return run(*kubectl_command(*arguments, namespaced=namespaced), input=input)


def helm(*arguments):
    return run("helm", *arguments, "--namespace", NAMESPACE)


def objects(*arguments):
    found = json.loads(kubectl("get", *arguments, "--output=json"))
    return found.get("items", [found])


def selector(service):
    return f"app.kubernetes.io/name={service},app.kubernetes.io/instance={RELEASE}"


def until(what, is_so, seconds):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise Fault(f"after {seconds} s it is not so that {what}")
        time.sleep(1)


def refuse_what_is_there():
    if kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name", namespaced=False):
        raise Fault(f"the namespace {NAMESPACE} exists: remove it, or name another with NAMESPACE")


def load_images(options):
    """The archives of IMAGES, or else what Docker has of the images that the chart names."""
    words = loader()
    with tempfile.TemporaryDirectory() as folder:
        if named := os.environ.get("IMAGES"):
            archives = sorted(Path(named).glob("*.tar"))
            if not archives:
                raise Fault(f"IMAGES: no archive (*.tar) in {named}")
            if not words:
                raise Fault("LOAD: how images get into the cluster of this context is not known")
            for archive in archives:
                run(*words, str(archive))
        elif words and shutil.which("docker"):
            wanted = set(re.findall(r'image: "(.+)"', helm("template", RELEASE, CHART, *options)))
            make_images(wanted - docker_images())
            archives = sorted(wanted & docker_images())
            archive = Path(folder, "image.tar")
            for image in archives:
                run("docker", "save", f"--output={archive}", image)
                run(*words, str(archive))
        else:
            return
    say(f"{len(archives)} images are loaded")


def docker_images():
    return set(run("docker", "images", "--format={{.Repository}}:{{.Tag}}").split())


def make_images(missing):
    """Ours are built; those of others are pulled, or else replaced."""
    ours = {image for image in missing if image.startswith("cloudretail/")}
    if ours:
        say("images of the services are missing: make images")
        run("make", "--directory", ROOT, "images")
    if others := sorted(missing - ours):
        run(ROOT / "docker/stand-ins", *others)


def loader():
    """The command that loads the archive which is its last word; none where the cluster pulls."""
    context = run("kubectl", "config", "current-context").strip()
    name = context.partition("-")[2]
    if command := os.environ.get("LOAD"):
        return shlex.split(command)
    if context.startswith("kind-"):
        return ["kind", "load", "image-archive", "--name", name]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", "--cluster", name]
    return []


def rolled_out():
    """Everything is ready, and what it replaces is gone."""
    for service in SERVICES:
        kubectl("rollout", "status", f"deployment/{service}", "--timeout=5m")

    def gone():
        pods = objects("pods", "--selector", f"app.kubernetes.io/instance={RELEASE}")
        return not any(pod["metadata"].get("deletionTimestamp") for pod in pods)

    until("the replaced pods are gone", gone, 120)


def leftovers():
    """Every object of the namespace but those that each namespace has."""
    kinds = run("kubectl", "api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    kinds = [kind for kind in kinds if kind.split(".")[0] != "events"]
    names = kubectl("get", ",".join(kinds), "--ignore-not-found", "--output=name").split()
    return [name for name in names if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")]


def say(line):
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)
