#!/usr/bin/env python3
"""Parts of soak.sh: a large table to search in, a watch of the process that searches, and plots of both."""

import csv
import itertools
import math
import random
import subprocess
import sys
import time
from pathlib import Path

# A mobile space of two stages: 34,992 architectures, all of which are in the table.
STEMS, KERNELS, EXPANSIONS, DEPTHS = (8, 16), (3, 5, 7), (1, 3, 6), (1, 2, 3)
WIDTHS, STRIDES, HEAD, SIDE, CLASSES = ((16, 24), (24, 32, 48)), (1, 2), 64, 16, 10


def experiment():
    """An experiment file for the table in the same folder."""
    return f"""[search]
objectives = ["error", "time_ms"]

[space]
name = "mobile"
stems = {list(STEMS)}
strides = {list(STRIDES)}
widths = {[list(widths) for widths in WIDTHS]}
kernels = {list(KERNELS)}
expansions = {list(EXPANSIONS)}
depths = {list(DEPTHS)}
squeeze_excitation = [false, true]
head = {HEAD}

[input]
shape = [3, {SIDE}, {SIDE}]
classes = {CLASSES}

[replay]
log = "table.csv"

[replay.columns]
architecture = "architecture"
accuracy = {{ column = "accuracy", unit = "fraction" }}
time = {{ column = "time_ms", unit = "ms" }}
"""


def macs(stem, stages):
    """Multiply-accumulates of the convolutions, without squeeze-and-excitation."""
    side, channels, total = SIDE, stem, SIDE * SIDE * 27 * stem
    for (kernel, expansion, depth, width, _), stride in zip(stages, STRIDES):
        for block in range(depth):
            wide = expansion * channels
            if expansion > 1:
                total += side * side * channels * wide
            side = math.ceil(side / (stride if block == 0 else 1))
            total += side * side * (kernel * kernel * wide + wide * width)
            channels = width
    return total + side * side * channels * HEAD


def table(path):
    """Writes the table. It is synthetic: the time follows the multiply-accumulates, with the overhead of a block, and
    the error is a smooth function of depth, width, kernels and squeeze-and-excitation, with a little that looks random."""
    draw = random.Random(1)
    stages = [itertools.product(KERNELS, EXPANSIONS, DEPTHS, widths, (0, 1)) for widths in WIDTHS]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "accuracy", "time_ms"])
        for stem, *chosen in itertools.product(STEMS, *stages):
            text = f"stem={stem} " + " ".join(f"k{k}e{e}d{d}w{w}s{s}" for k, e, d, w, s in chosen)
            blocks = sum(stage[2] for stage in chosen)
            time_ms = 0.05 + macs(stem, chosen) / 4e8 + 0.02 * blocks + 0.03 * sum(stage[4] for stage in chosen)
            gain = sum(
                0.6 * math.log(d) + 0.5 * math.log(w / 8) + 0.3 * math.log(e) + 0.1 * (k - 3) + 0.15 * s
                for k, e, d, w, s in chosen
            )
            error = 0.05 + 0.45 * math.exp(-0.6 * gain) + 0.01 * (16 / stem - 1) + draw.uniform(0, 0.004)
            writer.writerow([text, f"{1 - error:.5f}", f"{time_ms:.5f}"])


def resident_mb(pid):
    """Resident memory of a process; none once it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else None


def rows_of(journal, known):
    """Trained networks in a journal, counted from a known place and number."""
    if not journal.exists():
        return known
    with open(journal, "rb") as file:
        offset, rows = known
        file.seek(offset)
        new = file.read()
    return offset + len(new), rows + new.count(b",ok,")


def watch(journal, out, command):
    """Runs a command, writes time, evaluations and memory twice a second, and returns the exit code."""
    process = subprocess.Popen(command)
    begun, known = time.monotonic(), (0, 0)
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", "evaluations", "rss_mb"])
        while process.poll() is None:
            memory, known = resident_mb(process.pid), rows_of(Path(journal), known)
            if memory is not None:
                writer.writerow([f"{time.monotonic() - begun:.2f}", max(known[1] - 1, 0), f"{memory:.1f}"])
            time.sleep(0.5)
    return process.returncode


def read(path):
    """Columns of a watch."""
    with open(path, newline="") as file:
        rows = [tuple(float(value) for value in row.values()) for row in csv.DictReader(file)]
    return [row for row in rows if row[1] > 0]


def pace(samples):
    """Milliseconds an evaluation, over twentieths of the run."""
    step, last, points = samples[-1][1] / 20, samples[0], []
    for sample in samples[1:]:
        if sample[1] - last[1] >= step:
            points.append((sample[1], 1000 * (sample[0] - last[0]) / (sample[1] - last[1])))
            last = sample
    return points


def panel(title, lines, left, log=False):
    """One plot: lines of (evaluations, value) by name."""
    colours = ["#1b6ca8", "#c8553d", "#588157", "#7b4b94"]
    width, height = 380, 240
    scale = (lambda value: math.log10(max(value, 1e-3))) if log else (lambda value: value)
    most_x = max(x for points in lines.values() for x, _ in points)
    values = [scale(y) for points in lines.values() for _, y in points]
    low, high = (math.floor(min(values)), math.ceil(max(values))) if log else (0, 1.1 * max(values))
    x_of = lambda x: left + 55 + width * x / most_x
    y_of = lambda y: 40 + height * (1 - (scale(y) - low) / (high - low))
    parts = [f'<text x="{left + 55}" y="22" font-weight="bold">{title}</text>']
    for share in range(5):
        y = 40 + height * (1 - share / 4)
        value = low + (high - low) * share / 4
        label = f"{10 ** value:g}" if log else f"{value:.0f}"
        parts.append(f'<path d="M{left + 55} {y:.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left + 48}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        x = most_x * share / 4
        parts.append(f'<text x="{x_of(x):.1f}" y="{56 + height}" text-anchor="middle">{x:.0f}</text>')
    for (name, points), colour in zip(lines.items(), colours):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for row, (name, colour) in enumerate(zip(lines, colours)):
        parts.append(f'<text x="{left + 55 + 95 * row}" y="{72 + height}" fill="{colour}">{name}</text>')
    return "".join(parts)


def plot(out, watches):
    """Draws memory and time over the evaluations, of watches NAME=FILE."""
    samples = {name: read(path) for name, path in (watch.split("=", 1) for watch in watches)}
    thin = lambda points: points[:: max(1, len(points) // 200)]
    memory = {name: thin([(sample[1], sample[2]) for sample in found]) for name, found in samples.items()}
    times = {name: pace(found) for name, found in samples.items()}
    body = panel("resident memory, MB", memory, 0) + panel("ms an evaluation", times, 460, log=True)
    body += '<text x="55" y="334" fill="#555">evaluations on a log of 34,992 synthetic rows</text>'
    Path(out).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="920" height="340" font-family="sans-serif" font-size="12">'
        f'<rect width="920" height="340" fill="white"/>{body}</svg>\n'
    )
    for name, found in samples.items():
        tenth = found[len(found) // 10]
        print(
            f"{name}: {found[-1][1]:.0f} evaluations in {found[-1][0]:.0f} s, "
            f"{tenth[2]:.0f} MB after {tenth[1]:.0f}, {found[-1][2]:.0f} MB at the end"
        )


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "table":
        folder = Path(arguments[0])
        table(folder / "table.csv")
        (folder / "experiment.toml").write_text(experiment())
    elif verb == "watch":
        sys.exit(watch(arguments[0], arguments[1], arguments[2:]))
    elif verb == "plot":
        plot(arguments[0], arguments[1:])
    else:
        sys.exit(f"{verb}: table, watch or plot")
