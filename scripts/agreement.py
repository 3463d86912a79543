"""The measurements of agreement.sh and their evaluation: ratios of the times, rank correlations, and the seconds that a
measurement takes besides inference."""

import argparse
import csv
import itertools
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
WARM_UP_S = 0.05


def experiment(space, tool, seconds):
    """An experiment with the networks of the space for images of 32 × 32, and this machine's processor as two devices."""
    return f"""[space]
name = "{space}"

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
precision = "fp32"         # as the other two compute: by default it takes BF16 where the processor has it
tool = {json.dumps(tool)}
"""


def cell(draw):
    """A cell of NAS-Bench-201 whose output depends on a convolution; absent where the draw has none."""
    chosen = [draw.choice(OPERATIONS) for _ in range(6)]
    if not any("conv" in operation for operation in chosen[3:]):
        return None
    name = lambda index, source: f"{chosen[index]}~{source}"
    nodes = [[name(0, 0)], [name(1, 0), name(2, 1)], [name(3, 0), name(4, 1), name(5, 2)]]
    return "+".join(f"|{'|'.join(node)}|" for node in nodes)


def mobile(draw):
    """A network of the mobile space, with the default choices of each stage."""
    widths = ((16, 24), (24, 32), (32, 48, 64), (64, 96))
    stage = lambda width: (
        f"k{draw.choice((3, 5, 7))}e{draw.choice((3, 6))}d{draw.choice((1, 2, 3, 4))}"
        f"w{draw.choice(width)}s{draw.choice((0, 1))}"
    )
    return " ".join([f"stem={draw.choice((16, 24))}", *map(stage, widths)])


SPACES = {"nasbench201": cell, "mobile": mobile}


def networks_of(space, count):
    """So many different networks of a space, the same every time."""
    draw, found = random.Random(0), []
    while len(found) < count:
        text = SPACES[space](draw)
        if text and text not in found:
            found.append(text)
    return found


def run(command):
    """Output of a command; the script ends with its error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"agreement.py: {' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def by_controller(controller, settings, device, model):
    """Least time in ms by one of our devices, and the seconds that it took besides inference."""
    begun = time.monotonic()
    command = [controller, "measure", str(model), "--experiment", str(settings), "--device", device, "--json"]
    found = json.loads(run(command))
    took = time.monotonic() - begun
    return found["time_ms_min"], took - found["time_runs"] * found["time_ms"] / 1000


def by_onnxruntime(model, seconds):
    """Least time in ms by onnxruntime, and the seconds that it took besides inference."""
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
    return 1000 * min(times), time.monotonic() - begun - sum(times)


def rank_correlation(first, second):
    """Spearman's."""
    ranks = lambda values: [sorted(values).index(value) for value in values]
    return statistics.correlation(ranks(first), ranks(second))


def report(rows, networks, engines):
    """Prints the least time of each engine, then ratios and rank correlation of every two engines. Other work on the
    machine and a slower clock only add to a time, so the least one is nearest to the truth; many short rounds, minutes
    apart, meet the processor at its fastest. Even against odd rounds of one engine: what the machine's noise leaves of a
    correlation."""
    times_of = defaultdict(list)
    for row in rows:
        times_of[row["network"], row["engine"]].append(row["time_ms"])

    def least(engine, rounds=slice(None)):
        return [min(times_of[index, engine][rounds]) for index in range(len(networks))]

    pairs = [(b, a) for a, b in itertools.combinations(engines, 2)]
    print(f"{'ms, least of all runs':<66}" + "".join(f"{engine:>13}" for engine in engines) + "   ratios")
    for index, text in enumerate(networks):
        times = "".join(f"{least(engine)[index]:13.3f}" for engine in engines)
        print(f"{text:<66}{times}   " + " ".join(f"{least(a)[index] / least(b)[index]:.2f}" for a, b in pairs))
    for a, b in pairs:
        ratios = sorted(first / second for first, second in zip(least(a), least(b)))
        print(
            f"{a} / {b}: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}; "
            f"rank correlation {rank_correlation(least(a), least(b)):.3f}"
        )
    for engine in engines:
        seconds = [row["besides_s"] for row in rows if row["engine"] == engine]
        rounds = [times_of[index, engine] for index in range(len(networks))]
        spread = [max(times) / min(times) - 1 for times in rounds]
        both = least(engine, slice(0, None, 2)), least(engine, slice(1, None, 2)) if len(rounds[0]) > 1 else least(engine)
        print(
            f"{engine}: {statistics.median(seconds):.2f} s a measurement besides inference (of which {WARM_UP_S} s of "
            f"warm-up); rounds apart by {100 * statistics.median(spread):.1f} % (median), {100 * max(spread):.1f} % at "
            f"most; rank correlation of even with odd rounds {rank_correlation(*both):.3f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controller", required=True)
    parser.add_argument("--benchmark-app", default="")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--space", choices=SPACES, default="nasbench201")
    parser.add_argument("--networks", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    networks, rows = networks_of(options.space, options.networks), []
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "experiment.toml"
        settings.write_text(experiment(options.space, options.benchmark_app, options.seconds))
        models = [Path(folder) / f"{index}.onnx" for index in range(len(networks))]
        for text, model in zip(networks, models):
            run([options.controller, "export", text, "--to", str(model), "--experiment", str(settings)])
        measures = {
            "host": lambda model: by_controller(options.controller, settings, "host", model),
            "openvino": lambda model: by_controller(options.controller, settings, "openvino", model),
            "onnxruntime": lambda model: by_onnxruntime(model, options.seconds),
        }
        begun, total = time.monotonic(), options.rounds * len(models) * len(options.engines)
        for number in range(options.rounds):
            for index, model in enumerate(models):
                for engine in options.engines:
                    time_ms, besides_s = measures[engine](model)
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
    report(rows, networks, options.engines)


if __name__ == "__main__":
    main()
