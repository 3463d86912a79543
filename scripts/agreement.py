"""The measurements of agreement.sh, and what they say: ratios of the times, their rank correlations, and the seconds
that a measurement takes besides inference."""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy
import onnxruntime

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
ENGINES = ("host", "openvino", "onnxruntime")
PAIRS = (("openvino", "host"), ("onnxruntime", "host"), ("openvino", "onnxruntime"))
WARM_UP_S = 0.2


def experiment(tool, seconds):
    """An experiment whose networks are those of the benchmark, and whose two devices are this machine's processor."""
    return f"""[space]
name = "nasbench201"

[input]
shape = [3, 32, 32]
classes = 10

[measuring]
warm_up_ms = {1000 * WARM_UP_S:.0f}
time_limit_ms = {1000 * seconds:.0f}
confidence_interval = 1e-6 # the whole time is used, as by the others

[devices.host]
kind = "host"
threads = 1
meter = {{ kind = "none" }}

[devices.openvino]
kind = "openvino"
device = "CPU"
threads = 1
precision = "fp32"         # as the other two compute: by itself it takes BF16 where the processor has it
tool = {json.dumps(tool)}
"""


def cells(count):
    """Cells of NAS-Bench-201 in which something is computed between input and output, all different."""
    draw, found = random.Random(0), []
    while len(found) < count:
        chosen = [draw.choice(OPERATIONS) for _ in range(6)]
        name = lambda index, source: f"{chosen[index]}~{source}"
        nodes = [[name(0, 0)], [name(1, 0), name(2, 1)], [name(3, 0), name(4, 1), name(5, 2)]]
        text = "+".join(f"|{'|'.join(node)}|" for node in nodes)
        if any("conv" in operation for operation in chosen[3:]) and text not in found:
            found.append(text)
    return found


def run(command):
    """Output of a command; the script ends with its error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"agreement.py: {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def by_controller(controller, settings, device, model):
    """Mean time in ms by one of our devices, and the seconds that it took besides inference."""
    begun = time.monotonic()
    command = [controller, "measure", str(model), "--experiment", str(settings), "--device", device, "--json"]
    found = json.loads(run(command))
    took = time.monotonic() - begun
    return found["time_ms"], took - found["time_runs"] * found["time_ms"] / 1000


def by_onnxruntime(model, seconds):
    """Mean time in ms by onnxruntime, and the seconds that it took besides inference."""
    begun = time.monotonic()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    [taken] = session.get_inputs()
    feed = {taken.name: numpy.random.default_rng(0).random(taken.shape, dtype=numpy.float32)}
    warm = time.monotonic()
    while time.monotonic() - warm < WARM_UP_S:
        session.run(None, feed)
    times = []
    measuring = time.perf_counter()
    while time.perf_counter() - measuring < seconds:
        before = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - before)
    return 1000 * statistics.fmean(times), time.monotonic() - begun - sum(times)


def rank_correlation(first, second):
    """Spearman's."""
    ranks = lambda values: [sorted(values).index(value) for value in values]
    return statistics.correlation(ranks(first), ranks(second))


def report(rows, networks):
    """Prints the median of each engine's rounds, and what follows from them."""
    times_of = defaultdict(list)
    for row in rows:
        times_of[row["network"], row["engine"]].append(row["time_ms"])
    median = {key: statistics.median(times) for key, times in times_of.items()}
    print(f"{'ms, median of the rounds':<66}" + "".join(f"{engine:>13}" for engine in ENGINES) + "   ratios")
    for index, text in enumerate(networks):
        times = "".join(f"{median[index, engine]:13.3f}" for engine in ENGINES)
        print(f"{text:<66}{times}   " + " ".join(f"{median[index, a] / median[index, b]:.2f}" for a, b in PAIRS))
    for a, b in PAIRS:
        times = [[median[index, engine] for index in range(len(networks))] for engine in (a, b)]
        ratios = sorted(first / second for first, second in zip(*times))
        print(
            f"{a} / {b}: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}; "
            f"rank correlation {rank_correlation(*times):.3f}"
        )
    for engine in ENGINES:
        seconds = [row["besides_s"] for row in rows if row["engine"] == engine]
        rounds = [times_of[index, engine] for index in range(len(networks))]
        spread = [max(times) / min(times) - 1 for times in rounds]
        print(
            f"{engine}: {statistics.median(seconds):.2f} s a measurement besides inference (of which {WARM_UP_S} s of "
            f"warm-up); rounds apart by {100 * statistics.median(spread):.1f} % (median), {100 * max(spread):.1f} % at most"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controller", required=True)
    parser.add_argument("--benchmark-app", required=True)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    networks, rows = cells(options.networks), []
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "experiment.toml"
        settings.write_text(experiment(options.benchmark_app, options.seconds))
        models = [Path(folder) / f"{index}.onnx" for index in range(len(networks))]
        for text, model in zip(networks, models):
            run([options.controller, "export", text, "--to", str(model), "--experiment", str(settings)])
        engines = {
            "host": lambda model: by_controller(options.controller, settings, "host", model),
            "openvino": lambda model: by_controller(options.controller, settings, "openvino", model),
            "onnxruntime": lambda model: by_onnxruntime(model, options.seconds),
        }
        begun, total = time.monotonic(), options.rounds * len(models) * len(engines)
        for number in range(options.rounds):
            for index, model in enumerate(models):
                for engine, measure in engines.items():
                    time_ms, besides_s = measure(model)
                    row = dict(round=number + 1, network=index, engine=engine, time_ms=time_ms, besides_s=besides_s)
                    rows.append(row)
                    left = (time.monotonic() - begun) / len(rows) * (total - len(rows))
                    print(f"\r{len(rows)} of {total} measurements, {left:.0f} s left  ", end="", file=sys.stderr)
    print(file=sys.stderr)
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, ["round", "network", "architecture", "engine", "time_ms", "besides_s"])
            writer.writeheader()
            writer.writerows(row | {"architecture": networks[row["network"]]} for row in rows)
    report(rows, networks)


if __name__ == "__main__":
    main()
