"""Runs a search of a log on 1 to many worker processes, and prints what they achieve; see cluster_scale.sh."""

import argparse
import asyncio
import csv
import json
import math
import os
import pathlib
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


def write(path, text):
    path.write_text(text)
    return path


async def run(arguments, workers, speed, folder):
    """A search on so many workers whose clock is `speed` times as fast, `None` for answers at once."""
    port, program = free_port(), arguments.controller
    server = subprocess.Popen(
        [arguments.nats, "-js", "-sd", str(folder / "store"), "-a", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, children = f"nats://127.0.0.1:{port}", []
    try:
        own = write(folder / "worker.toml", f'[replay]\nlog = "{arguments.log}"\n' + (f"speed = {speed}\n" if speed else ""))
        await asyncio.sleep(1)
        for _ in range(workers):
            children.append(subprocess.Popen(
                [program, "worker", "--cluster", url, "--experiment", str(own), "--quiet"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TOKIO_WORKER_THREADS": "1"}))
        deadline = time.time() + 300
        while time.time() < deadline:
            await asyncio.sleep(1)
            listed = subprocess.run([program, "workers", "--cluster", url, "--json"], capture_output=True, text=True)
            if listed.returncode == 0 and len(json.loads(listed.stdout or "[]")) >= workers:
                break
        out = (arguments.keep or folder) / f"{workers}-{speed or 0}"
        async with Watch(url) as watch:
            began = time.perf_counter()
            search = await asyncio.create_subprocess_exec(
                program, "replay", str(arguments.log), "--experiment", str(arguments.experiment), "--cluster", url,
                "--seed", str(arguments.seed), "--out", str(out), "--quiet",
                *(word for setting in arguments.set for word in ("--set", setting)))
            code = await search.wait()
            wall = time.perf_counter() - began
            if code != 0:
                sys.exit(f"the search failed with {code}")
            latencies = watch.milliseconds()
        rows = list(csv.DictReader(open(out / "measurements.csv")))
        trained = [row for row in rows if row["accuracy"]]
        # What the log's clock gives each job.
        seconds = sum(float(row["epochs"] or 1) if row["accuracy"] else 1 for row in rows)
        busy = seconds / speed / (workers * wall) if speed else math.nan
        return wall, len(trained), len(rows), busy, latencies
    finally:
        for child in [*children, server]:
            child.kill()
        for child in [*children, server]:
            child.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controller", required=True)
    parser.add_argument("--nats", required=True)
    parser.add_argument("--log", type=pathlib.Path, required=True)
    parser.add_argument("--experiment", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the run folders")
    parser.add_argument("runs", nargs="+", help="WORKERS:SPEED; SPEED 0 answers at once")
    arguments = parser.parse_args()
    print(f"{'workers':>8} {'speed':>7} {'wall s':>8} {'trained':>8} {'per s':>8} {'jobs':>6} {'busy':>6} {'p50 ms':>8} {'p99 ms':>8}")
    for one in arguments.runs:
        workers, speed = (int(part) for part in one.split(":"))
        with tempfile.TemporaryDirectory() as folder:
            wall, trained, jobs, busy, times = asyncio.run(run(arguments, workers, speed, pathlib.Path(folder)))
        p99 = times[min(len(times) - 1, int(0.99 * len(times)))] if times else math.nan
        p50 = statistics.median(times) if times else math.nan
        print(f"{workers:8} {speed:7} {wall:8.1f} {trained:8} {trained / wall:8.2f} {jobs:6} {busy:6.2f} {p50:8.1f} {p99:8.1f}",
              flush=True)


main()
