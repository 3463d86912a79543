"""Runs a search of a log on 1 to many worker processes, and prints what they achieve; see cluster_scale.sh."""

import argparse
import asyncio
import csv
import json
import math
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import nats


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Watch:
    """Times at which jobs are handed over and answered, as they pass through the server."""

    def __init__(self, url):
        self.url, self.handed, self.answered = url, {}, {}

    async def __aenter__(self):
        self.client = await nats.connect(self.url)
        await self.client.subscribe("nas.*.job.>", cb=self.job)
        await self.client.subscribe("nas.*.result.>", cb=self.result)
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def job(self, message):
        self.handed.setdefault(message.subject.split(".")[-1], time.perf_counter())

    async def result(self, message):
        self.answered.setdefault(message.subject.split(".")[-2], time.perf_counter())

    def milliseconds(self):
        """From handing over to the answer, job by job."""
        both = self.handed.keys() & self.answered.keys()
        return sorted(1e3 * (self.answered[job] - self.handed[job]) for job in both)

    def trained_at(self):
        """When each evaluation's training was answered."""
        return {int(job.split("-")[0]): at for job, at in self.answered.items() if job.split("-")[1].startswith("t")}


def area(points, reference):
    """The area that points of (error, time) dominate up to a reference point."""
    covered, lowest = 0.0, reference[0]
    # From the fastest one on, each lowers the error for all slower times.
    for error, ms in sorted(points, key=lambda point: point[1]):
        if error < lowest and ms < reference[1]:
            covered += (lowest - error) * (reference[1] - ms)
            lowest = error
    return covered


class Goal:
    """A share of the area that the whole log's front dominates, within the experiment's bound on the error."""

    ERROR, SHARE = 0.20, 0.97

    def __init__(self, log):
        rows = list(csv.DictReader(open(log)))
        points = [(1 - float(row["valid_accuracy_percent"]) / 100, float(row["time_ms"])) for row in rows]
        self.reference = (self.ERROR, max(ms for _, ms in points))
        self.whole = area(points, self.reference)

    def reached(self, rows, at):
        """When the trained rows have it, by the times of their answers."""
        points = []
        for row in sorted((row for row in rows if int(row["evaluation"]) in at), key=lambda row: at[int(row["evaluation"])]):
            points.append((1 - float(row["accuracy"]), float(row["time_ms"])))
            if area(points, self.reference) >= self.SHARE * self.whole:
                return at[int(row["evaluation"])]
        return math.nan


def write(path, text):
    path.write_text(text)
    return path


def start_server(arguments, folder, port):
    return subprocess.Popen(
        [arguments.nats, "-js", "-sd", str(folder / "store"), "-a", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_worker(arguments, url, own):
    return subprocess.Popen(
        [arguments.controller, "worker", "--cluster", url, "--experiment", str(own), "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TOKIO_WORKER_THREADS": "1"})


async def search(arguments, folder, name, trainings, speed, more):
    """A search to its end: its rows, when it began, the seconds that it took, and those of a processor."""
    out = (arguments.keep or folder) / name
    settings = [*arguments.set, f"search.evaluations={trainings}", *([] if speed else ["strategy.name=random"])]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        arguments.controller, "replay", str(arguments.log), "--experiment", str(arguments.experiment),
        "--seed", str(arguments.seed), "--out", str(out), "--quiet", *more,
        *(word for setting in settings for word in ("--set", setting)))
    code = await process.wait()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != 0:
        sys.exit(f"the search failed with {code}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return list(csv.DictReader(open(out / "measurements.csv"))), began, wall, processor


async def run(arguments, workers, speed, trainings, folder):
    """A search on so many workers whose clock is `speed` times as fast, or on none."""
    name = f"{workers}-{speed}-{trainings}"
    if workers == 0:
        rows, began, wall, processor = await search(arguments, folder, name, trainings, speed, ["--cluster", "none"])
        return rows, began, wall, processor, [], {}
    port = free_port()
    url, children = f"nats://127.0.0.1:{port}", [start_server(arguments, folder, port)]
    try:
        own = write(folder / "worker.toml", f'[replay]\nlog = "{arguments.log}"\n' + (f"speed = {speed}\n" if speed else ""))
        await asyncio.sleep(1)
        for _ in range(workers):
            children.append(start_worker(arguments, url, own))
            await asyncio.sleep(0.02)
        deadline = time.time() + 300
        while time.time() < deadline:
            await asyncio.sleep(1)
            listed = subprocess.run([arguments.controller, "workers", "--cluster", url, "--json"], capture_output=True, text=True)
            if listed.returncode == 0 and len(json.loads(listed.stdout or "[]")) >= workers:
                break
        async with Watch(url) as watch:
            rows, began, wall, processor = await search(arguments, folder, name, trainings, speed, ["--cluster", url])
            return rows, began, wall, processor, watch.milliseconds(), watch.trained_at()
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


COLUMNS = ["workers", "speed", "wall s", "trained", "jobs", "s/job", "ratio", "tr/s", "hours", "busy", "search", "p50 ms", "p99 ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controller", required=True)
    parser.add_argument("--nats", required=True)
    parser.add_argument("--log", type=pathlib.Path, required=True)
    parser.add_argument("--experiment", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the run folders")
    parser.add_argument("runs", nargs="+", help="WORKERS:SPEED:TRAININGS; SPEED 0 answers at once")
    arguments = parser.parse_args()
    goal, alone = Goal(arguments.log), math.nan
    print(" ".join(f"{column:>8}" for column in COLUMNS), flush=True)
    for one in arguments.runs:
        workers, speed, trainings = (int(part) for part in one.split(":"))
        with tempfile.TemporaryDirectory() as folder:
            rows, began, wall, processor, times, at = asyncio.run(run(arguments, workers, speed, trainings, pathlib.Path(folder)))
        trained = [row for row in rows if row["accuracy"]]
        known = {row["evaluation"]: row["time_ms"] for row in rows if row["time_ms"]}
        for row in trained:
            row["time_ms"] = row["time_ms"] or known[row["evaluation"]]
        hours = (goal.reached(trained, at) - began) * speed / 3600
        # What the log's clock gives each job.
        seconds = sum(float(row["epochs"] or 1) if row["accuracy"] else 1 for row in rows)
        busy = seconds / speed / (workers * wall) if speed and workers else math.nan
        each = wall / len(rows)
        alone = each if workers == 0 else alone
        p50 = statistics.median(times) if times else math.nan
        p99 = times[min(len(times) - 1, int(0.99 * len(times)))] if times else math.nan
        values = [f"{workers}", f"{speed}", f"{wall:.1f}", f"{len(trained)}", f"{len(rows)}", f"{each:.5f}", f"{each / alone:.2f}",
                  f"{len(trained) / wall:.2f}", f"{hours:.2f}", f"{busy:.2f}", f"{processor / wall:.2f}", f"{p50:.1f}", f"{p99:.1f}"]
        print(" ".join(f"{value:>8}" for value in values), flush=True)


main()
