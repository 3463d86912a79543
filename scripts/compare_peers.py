"""Runs the strategies and their peers on a table of NAS-Bench-201 measurements, scores them, and draws the result.

scripts/compare_peers.sh prepares the environment for it; its `--help` describes the comparison.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.metadata
import io
import itertools
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CONTROLLER = ROOT / "target" / "release" / "controller"

OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
EDGES = 6
CELLS = len(OPERATIONS) ** EDGES
PLACES = len(OPERATIONS) ** np.arange(EDGES)
CELL_TEXT = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")

ARCHITECTURE, ACCURACY, TIME, ENERGY = "architecture", "valid_accuracy_percent", "time_ms", "energy_mj"

MEANS_AT = (50, 100, 150, 200, 300, 500, 1000)
WORST_AT = (100, 200)
SHARES = (0.95, 0.97, 0.98)

# Part of the identity of a kept run: increase it when a peer below changes, so that earlier runs are repeated.
PEERS_VERSION = 1


class Failure(Exception):
    """A mistake that the user can correct. The text names the mistake, its place and the remedy."""


@dataclass(frozen=True)
class Method:
    """Name and colour of a method."""

    label: str
    colour: str
    ours: bool = False


# Colours that colour-blind people can distinguish: Okabe and Ito's, and two darker ones. Ours are dashed, except the
# default, which should be seen first.
METHODS = {
    "model-based": Method("model-based (ours)", "#D55E00", ours=True),
    "bayesian": Method("Bayesian optimisation (ours)", "#44AA99", ours=True),
    "policy-gradient": Method("policy gradient (ours)", "#0072B2", ours=True),
    "evolution": Method("evolution (ours)", "#009E73", ours=True),
    "random": Method("random (ours)", "#777777", ours=True),
    "local": Method("local search", "#E69F00"),
    "archai": Method("Archai's evolution", "#882255"),
    "nsga2": Method("Optuna NSGA-II", "#56B4E9"),
    "tpe": Method("Optuna TPE", "#CC79A7"),
    "gp": Method("Optuna GP", "#000000"),
}
DEFAULT = "model-based"
# Needs PyTorch.
NOT_BY_DEFAULT = ("gp",)


# ---------------------------------------------------------------------------------------------------------------------
# The table


def parse_cell(text: str) -> int:
    """The number of a cell: its operations as the digits of a number, the first edge's the lowest.

    Numbers rather than rows, so that the order of a table's rows makes no difference to any search.

    Raises ValueError, saying what is wrong.
    """
    found = CELL_TEXT.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a cell: a cell looks like {format_cell(0)}")
    unknown = [operation for operation in found.groups() if operation not in OPERATIONS]
    if unknown:
        raise ValueError(f"unknown operation {unknown[0]!r}: the operations are {', '.join(OPERATIONS)}")
    return cell_number([OPERATIONS.index(operation) for operation in found.groups()])


def cell_number(operations: Sequence[int] | np.ndarray) -> int:
    return int(np.dot(operations, PLACES))


def operations_of(cell: int) -> np.ndarray:
    return cell // PLACES % len(OPERATIONS)


def format_cell(cell: int) -> str:
    a, b, c, d, e, f = (OPERATIONS[operation] for operation in operations_of(cell))
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@dataclass(frozen=True)
class Table:
    """The measurements of every cell. `objectives[cell]`: error in percent, time in ms, energy in mJ."""

    objectives: np.ndarray
    sha256: str

    @staticmethod
    def read(path: Path) -> Table:
        try:
            content = path.read_bytes()
            lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
            objectives = read_objectives(path, lines)
        except OSError as error:
            raise Failure(f"{path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise Failure(f"{path} is not a CSV file in UTF-8: {error}") from error
        return Table(objectives, hashlib.sha256(content).hexdigest())


def read_objectives(path: Path, lines: Any) -> np.ndarray:
    """The objectives of a table, whose lines come from a `csv.reader`. All 15,625 cells must be there, once each."""
    header = [name.strip() for name in next(lines, [])]
    places = []
    for column in (ARCHITECTURE, ACCURACY, TIME, ENERGY):
        if header.count(column) != 1:
            problem = "has no column" if column not in header else "has more than one column"
            raise Failure(f"{path}:1: the table {problem} {column}; its columns are {', '.join(header) or 'none'}")
        places.append(header.index(column))

    objectives = np.full((CELLS, 3), math.nan)
    line_of: dict[int, int] = {}
    for row in lines:
        if not row:
            continue
        where = f"{path}:{lines.line_num}"
        if len(row) != len(header):
            raise Failure(f"{where}: {len(row)} cells where the header has {len(header)} columns")
        text, *numbers = (row[place].strip() for place in places)
        try:
            cell = parse_cell(text)
        except ValueError as error:
            raise Failure(f"{where}: {error}") from error
        if cell in line_of:
            raise Failure(f"{where}: {text} is in line {line_of[cell]} too: remove one of them")
        line_of[cell] = lines.line_num
        accuracy, time_ms, energy_mj = (
            number(where, column, text, most)
            for column, text, most in zip((ACCURACY, TIME, ENERGY), numbers, (100.0, math.inf, math.inf))
        )
        objectives[cell] = 100.0 - accuracy, time_ms, energy_mj

    missing = [cell for cell in range(CELLS) if cell not in line_of]
    if missing:
        named = ", ".join(format_cell(cell) for cell in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise Failure(
            f"{path} is not the whole of NAS-Bench-201: {len(missing):,} of {CELLS:,} cells are missing ({named}); "
            "give a table with a row for every cell"
        )
    return objectives


def number(where: str, column: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0.0 <= value <= most and math.isfinite(value)):
        wanted = "a number from 0" + (f" to {most:g}" if math.isfinite(most) else "")
        raise Failure(f"{where}: {column} is {text!r}, and should be {wanted}")
    return value


# ---------------------------------------------------------------------------------------------------------------------
# The score


class Front:
    """The cells that no other dominates, in the order in which they were added."""

    def __init__(self) -> None:
        self.cells: list[int] = []
        self.points = np.empty((0, 3))

    def add(self, cell: int, point: np.ndarray) -> bool:
        """Adds a cell. True if it is on the front; only then the front changes."""
        if dominates(self.points, point).any():
            return False
        keep = ~dominates(point, self.points)
        self.cells = [other for other, kept in zip(self.cells, keep) if kept] + [cell]
        self.points = np.vstack([self.points[keep], point])
        return True


def dominates(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    return np.all(these <= those, axis=-1) & np.any(these < those, axis=-1)


def hypervolume(points: np.ndarray) -> float:
    """The exact volume that points of the unit cube dominate in it, all three objectives being minimised.

    The cube is cut at every point's third objective. In a slice, the points that reach into it make a staircase, whose
    area is a sum over the first objective with the lowest second objective so far.
    """
    x, y, z = points[np.argsort(points[:, 0])].T
    floors = np.sort(z)
    reaches = z <= floors[:, np.newaxis]
    stairs = np.minimum.accumulate(np.where(reaches, y, 1.0), axis=1)
    areas = (1.0 - stairs) @ np.diff(x, append=1.0)
    return float(areas @ np.diff(floors, append=1.0))


class Score:
    """The share of the best possible hypervolume, in the box of deployable cells.

    The box begins at each objective's minimum over the table. It ends at the bound on the error, and for time and
    energy a tenth of their range beyond their maximum, so that the front's ends count as well.
    """

    def __init__(self, table: Table, error_percent: float) -> None:
        low, high = table.objectives.min(axis=0), table.objectives.max(axis=0)
        end = low + 1.1 * (high - low)
        end[0] = error_percent
        if error_percent <= low[0]:
            raise Failure(
                f"--max-error {error_percent / 100:g}: the smallest error of the table is {low[0] / 100:.4f}, so no "
                "cell keeps this bound; give a larger one"
            )
        if (high == low).any():
            raise Failure("an objective has the same value in the whole table: a search needs a trade-off")
        self.points = (table.objectives - low) / (end - low)
        self.inside = (self.points < 1.0).all(axis=1)
        # The front of the whole table comes from the cells in any order, as every other front.
        self.best = self.volumes(range(CELLS), CELLS)[-1]

    def curve(self, cells: Sequence[int], evaluations: int) -> np.ndarray:
        """The share after 1, 2, .. evaluations. It is constant after the end of a shorter run."""
        return self.volumes(cells, evaluations) / self.best

    def volumes(self, cells: Sequence[int], evaluations: int) -> np.ndarray:
        """The hypervolumes whose shares `curve` gives, computed anew only when the front changes."""
        front, volumes, volume = Front(), np.empty(evaluations), 0.0
        for place, cell in enumerate(itertools.islice(cells, evaluations)):
            if self.inside[cell] and front.add(cell, self.points[cell]):
                volume = hypervolume(front.points)
            volumes[place] = volume
        volumes[len(cells) :] = volume
        return volumes


# ---------------------------------------------------------------------------------------------------------------------
# The peers


class Spent(Exception):
    """The search has used its budget of cells."""


class Budget:
    """The view of a table that a peer has: each new cell costs one of the budget, a known one nothing."""

    def __init__(self, table: Table, evaluations: int, error_percent: float) -> None:
        self.table = table
        self.evaluations = evaluations
        self.error_percent = error_percent
        self.asked: dict[int, None] = {}
        self.front = Front()

    def ask(self, operations: Sequence[int] | np.ndarray) -> np.ndarray:
        """Raises Spent when the budget is used."""
        cell = cell_number(operations)
        objectives = self.table.objectives[cell]
        if cell not in self.asked:
            self.asked[cell] = None
            self.front.add(cell, objectives)
        if len(self.asked) >= self.evaluations:
            raise Spent
        return objectives


def random_cell(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, len(OPERATIONS), EDGES)


def local_search(budget: Budget, seed: int) -> None:
    """Evaluates all neighbours of a cell of the front, which differ from it in one operation; then of another cell."""
    random, expanded = np.random.default_rng(seed), set()
    for _ in range(10):
        budget.ask(random_cell(random))
    while True:
        waiting = [cell for cell in budget.front.cells if cell not in expanded]
        if not waiting:
            budget.ask(random_cell(random))
            continue
        parent = waiting[random.integers(len(waiting))]
        expanded.add(parent)
        for edge, operation in itertools.product(range(EDGES), range(len(OPERATIONS))):
            neighbour = operations_of(parent)
            neighbour[edge] = operation
            budget.ask(neighbour)


def archai_search(budget: Budget, seed: int) -> None:
    """The algorithm of Archai's EvolutionParetoSearch with its defaults.

    10 random cells; then in every generation a mutation of each cell of the front, 5 crossovers of two of them, and 5
    random cells.
    """
    random = np.random.default_rng(seed)
    for _ in range(10):
        budget.ask(random_cell(random))
    while True:
        parents = list(budget.front.cells)
        for parent in parents:
            child = operations_of(parent)
            operation = random.integers(len(OPERATIONS))
            child[random.integers(EDGES)] = operation
            budget.ask(child)
        for _ in range(5):
            one, other = (operations_of(random.choice(parents)) for _ in range(2))
            budget.ask(np.where(random.random(EDGES) < 0.5, one, other))
        for _ in range(5):
            budget.ask(random_cell(random))


def optuna_search(sampler: Callable[[Any, int, Callable], Any]) -> Callable[[Budget, int], None]:
    """A search by one of Optuna's samplers, made from Optuna's module, a seed and the constraint."""

    def search(budget: Budget, seed: int) -> None:
        # Imported here: it takes a second, and the other peers and the score do not need it.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # Warnings that some features are experimental.
        warnings.filterwarnings("ignore", module="optuna")

        def excess(trial: Any) -> list[float]:
            return [trial.user_attrs["error"] - budget.error_percent]

        study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler(optuna.samplers, seed, excess))
        # A sampler may propose the same cells for ever. Then the run ends before its number of evaluations.
        for _ in range(6 * budget.evaluations):
            trial = study.ask()
            names = [trial.suggest_categorical(f"edge{edge}", OPERATIONS) for edge in range(EDGES)]
            objectives = budget.ask([OPERATIONS.index(name) for name in names])
            trial.set_user_attr("error", float(objectives[0]))
            study.tell(trial, objectives.tolist())

    return search


PEERS: dict[str, Callable[[Budget, int], None]] = {
    "local": local_search,
    "archai": archai_search,
    "nsga2": optuna_search(lambda s, seed, c: s.NSGAIISampler(population_size=20, seed=seed, constraints_func=c)),
    "tpe": optuna_search(lambda s, seed, c: s.TPESampler(multivariate=True, seed=seed, constraints_func=c)),
    "gp": optuna_search(lambda s, seed, c: s.GPSampler(n_startup_trials=10, seed=seed, constraints_func=c)),
}
PEERS_PACKAGES = {"nsga2": ["optuna"], "tpe": ["optuna"], "gp": ["optuna", "scipy", "torch"]}


def run_peer(name: str, table: Table, evaluations: int, error_percent: float, seed: int) -> list[int]:
    """The cells that a peer evaluates, in order."""
    budget = Budget(table, evaluations, error_percent)
    try:
        PEERS[name](budget, seed)
    except Spent:
        pass
    return list(budget.asked)


# ---------------------------------------------------------------------------------------------------------------------
# The runs


@dataclass(frozen=True)
class Task:
    """A run to be made: its method, seed and identity."""

    method: str
    seed: int
    made_by: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method}, seed {self.seed}"


class Comparison:
    """The settings of a comparison, and its kept runs."""

    def __init__(self, options: argparse.Namespace, table: Table, scratch: Path) -> None:
        self.options = options
        self.table = table
        self.scratch = scratch
        self.folder = options.out / "runs"
        # A copy, because a build during the comparison would mix runs of two controllers.
        self.controller = scratch / "controller"
        self.controller_sha256 = ""
        if any(METHODS[method].ours for method in options.methods):
            if not CONTROLLER.is_file():
                raise Failure(f"{CONTROLLER} is missing: leave out --no-build, or leave ours out of --methods")
            shutil.copy(CONTROLLER, self.controller)
            self.controller_sha256 = hashlib.sha256(self.controller.read_bytes()).hexdigest()

    def tasks(self) -> list[Task]:
        """All runs, seed by seed: so the time left is known early, and an interrupted comparison has complete seeds."""
        pairs = itertools.product(range(self.options.seeds), self.options.methods)
        return [Task(method, seed, self.made_by(method, seed)) for seed, method in pairs]

    def made_by(self, method: str, seed: int) -> dict[str, Any]:
        """Everything that the cells of a run depend on. A kept run counts only if all of it is the same."""
        made_by = {"method": method, "seed": seed, "table": self.table.sha256}
        if METHODS[method].ours:
            return {**made_by, "controller": self.controller_sha256, "arguments": self.arguments(method, seed)}
        packages = ["numpy", *PEERS_PACKAGES.get(method, [])]
        return {
            **made_by,
            "evaluations": self.options.evaluations,
            "max_error": self.options.max_error,
            "peers": PEERS_VERSION,
            "packages": {package: importlib.metadata.version(package) for package in packages},
        }

    def arguments(self, strategy: str, seed: int) -> list[str]:
        """The arguments of the controller, without files."""
        columns = f'replay.columns={{ accuracy={{ column="{ACCURACY}", unit="percent" }} }}'
        settings = ["--space", "nasbench201", "--set", columns, "--bound", f"error={self.options.max_error}"]
        return [*settings, "--strategy", strategy, "--evaluations", str(self.options.evaluations), "--seed", str(seed)]

    def command(self, task: Task, run: Path) -> list[str]:
        table = str(self.options.table)
        if METHODS[task.method].ours:
            files = ["replay", table, "--out", str(run), "--quiet"]
            return [str(self.controller), *files, *self.arguments(task.method, task.seed)]
        settings = ["--evaluations", str(self.options.evaluations), "--max-error", str(self.options.max_error)]
        peer = ["--peer", task.method, "--seed", str(task.seed)]
        return [sys.executable, __file__, table, *settings, *peer]

    def path(self, task: Task) -> Path:
        return self.folder / f"{task.method}-{task.seed}.csv"

    def kept(self, task: Task) -> list[int] | None:
        """The cells of an earlier run of the same identity, in order."""
        try:
            first, rest = self.path(task).read_text(encoding="utf-8").split("\n", 1)
            same = json.loads(first[1:]) == task.made_by
            return read_cells(io.StringIO(rest)) if same else None
        except (FileNotFoundError, ValueError):
            return None

    def keep(self, task: Task, cells: Sequence[int]) -> None:
        lines = ["#" + json.dumps(task.made_by), ARCHITECTURE, *map(format_cell, cells)]
        replace(self.path(task), "\n".join(lines) + "\n")


def read_cells(file: TextIO) -> list[int]:
    """The different cells of a CSV file with a column `architecture`, in order; of a journal those that were trained."""
    rows = csv.DictReader(file)
    if ARCHITECTURE not in (rows.fieldnames or []):
        raise ValueError(f"the column {ARCHITECTURE} is missing")
    trained = (row for row in rows if row.get("accuracy", "-"))
    return list(dict.fromkeys(parse_cell(row[ARCHITECTURE] or "") for row in trained))


def replace(path: Path, content: str) -> None:
    """Writes a file completely or not at all, also when interrupted."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(content, encoding="utf-8")
    draft.replace(path)


class Running:
    """A run in a process of its own, with one thread: runs at the same time must not slow each other down."""

    def __init__(self, comparison: Comparison, task: Task) -> None:
        self.comparison = comparison
        self.task = task
        self.folder = comparison.scratch / f"{task.method}-{task.seed}"
        self.folder.mkdir()
        self.command = comparison.command(task, self.folder / "run")
        self.started = time.monotonic()
        variables = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
        environment = {**os.environ, **dict.fromkeys(variables, "1")}
        with open(self.folder / "cells.csv", "wb") as output, open(self.folder / "errors", "wb") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment
            )

    def ended(self) -> bool:
        return self.process.poll() is not None

    def finish(self) -> list[int]:
        """The cells, in the order of their evaluation."""
        ours = METHODS[self.task.method].ours
        problem = f"it ended with status {self.process.returncode}"
        if self.process.returncode == 0:
            try:
                with open(self.folder / ("run/measurements.csv" if ours else "cells.csv"), encoding="utf-8") as file:
                    cells = read_cells(file)[: self.comparison.options.evaluations]
                shutil.rmtree(self.folder)
                return cells
            except (OSError, ValueError) as error:
                problem = f"what it asked for cannot be read: {error}"
        said = (self.folder / "errors").read_text(encoding="utf-8", errors="replace").strip()
        # The copy of the controller is deleted before a user reads this.
        repeat = [str(CONTROLLER) if part == str(self.comparison.controller) else part for part in self.command]
        repeat = [part if part != str(self.folder / "run") else "runs/again" for part in repeat]
        raise Failure(
            f"{self.task}: {problem}\n{said[-2000:] or '(it said nothing)'}\nTo repeat it: "
            + shlex.join(repeat)
            + "\nThe runs that have ended are kept."
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def make_runs(comparison: Comparison) -> dict[str, list[list[int]]]:
    """The cells of every run, by method: kept runs where they count, new runs otherwise."""
    comparison.folder.mkdir(parents=True, exist_ok=True)
    tasks = comparison.tasks()
    runs = {(task.method, task.seed): comparison.kept(task) for task in tasks}
    queue = deque(task for task in tasks if runs[task.method, task.seed] is None)
    outdated = sum(comparison.path(task).exists() for task in queue)
    if outdated:
        say(f"made anew, as the table, a setting or a program was another one then: {outdated} of the kept runs")
    progress = Progress(len(tasks), list(queue), comparison.options.jobs)
    running: list[Running] = []
    try:
        while queue or running:
            while queue and len(running) < comparison.options.jobs:
                running.append(Running(comparison, queue.popleft()))
            time.sleep(0.02)
            for run in [run for run in running if run.ended()]:
                cells = run.finish()
                running.remove(run)
                comparison.keep(run.task, cells)
                runs[run.task.method, run.task.seed] = cells
                progress.ended(run.task, time.monotonic() - run.started)
    finally:
        for run in running:
            run.stop()
        progress.close()
    options = comparison.options
    return {method: [runs[method, seed] or [] for seed in range(options.seeds)] for method in options.methods}


class Progress:
    """Shows the progress of the runs and the time left on stderr."""

    def __init__(self, total: int, waiting: list[Task], jobs: int) -> None:
        self.total = total
        self.waiting = waiting
        self.jobs = jobs
        self.seconds: dict[str, list[float]] = {}
        self.terminal = sys.stderr.isatty()
        if len(waiting) < total:
            say(f"{total - len(waiting)} of {total} runs are kept from before")

    def ended(self, task: Task, seconds: float) -> None:
        self.waiting.remove(task)
        self.seconds.setdefault(task.method, []).append(seconds)
        done = self.total - len(self.waiting)
        text = f"{done}/{self.total} runs; {task} took {seconds:.1f} s"
        text += f"; about {self.left()} left" if self.waiting else ""
        if self.terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            say(text)

    def left(self) -> str:
        """Estimated from the times of each method so far; a method without a finished run counts as an average one."""
        means = {method: float(np.mean(seconds)) for method, seconds in self.seconds.items()}
        average = float(np.mean(list(means.values())))
        seconds = sum(means.get(task.method, average) for task in self.waiting) / self.jobs
        return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

    def close(self) -> None:
        if self.terminal and self.seconds:
            print(file=sys.stderr)


# ---------------------------------------------------------------------------------------------------------------------
# The results


@dataclass(frozen=True)
class Result:
    """The shares of one method: `shares[seed, evaluations - 1]`, and over the seeds their mean with its band."""

    method: str
    shares: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    worst: np.ndarray


def summarise(method: str, shares: np.ndarray) -> Result:
    """With a 95 % confidence band of the mean, by resampling the seeds; deterministic for the same numbers."""
    seeds = len(shares)
    random = np.random.default_rng(0)
    weights = random.multinomial(seeds, [1 / seeds] * seeds, size=4000) / seeds
    low, high = np.percentile(weights @ shares, [2.5, 97.5], axis=0)
    return Result(method, shares, shares.mean(axis=0), low, high, shares.min(axis=0))


def evaluations_to(share: float, shares: np.ndarray) -> float:
    """The median over the seeds of the evaluations until a share is reached; infinite if half of them do not."""
    reached = shares >= share
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, math.inf)
    return float(np.median(first))


def summary(results: Sequence[Result]) -> tuple[list[str], list[list[float]]]:
    """Columns, and one row for each method; infinite where a share was not reached."""
    evaluations = len(results[0].mean)
    means = [at for at in MEANS_AT if at < evaluations] + ([evaluations] if evaluations <= MEANS_AT[-1] else [])
    worst = [at for at in WORST_AT if at <= evaluations]
    columns = [f"mean_{at}" for at in means] + [f"worst_{at}" for at in worst]
    columns += [f"evaluations_to_{share}" for share in SHARES]
    rows = [
        [float(result.mean[at - 1]) for at in means]
        + [float(result.worst[at - 1]) for at in worst]
        + [evaluations_to(share, result.shares) for share in SHARES]
        for result in results
    ]
    return columns, rows


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()


def comparison_csv(results: Sequence[Result]) -> str:
    rows = [
        [result.method, place + 1, *(f"{value:.6f}" for value in values)]
        for result in results
        for place, values in enumerate(zip(result.mean, result.low, result.high, result.worst))
    ]
    return csv_text(["method", "evaluations", "mean", "low", "high", "worst"], rows)


def summary_csv(results: Sequence[Result]) -> str:
    columns, rows = summary(results)
    cells = [["" if math.isinf(value) else f"{value:.6g}" for value in row] for row in rows]
    return csv_text(["method", *columns], [[result.method, *row] for result, row in zip(results, cells)])


def summary_markdown(results: Sequence[Result]) -> str:
    columns, rows = summary(results)
    evaluations = len(results[0].mean)

    def cell(column: str, value: float) -> str:
        if column.startswith("evaluations"):
            return f">{evaluations}" if math.isinf(value) else f"{value:g}"
        return f"{value:.3f}"

    lines = [["method", *(column.replace("evaluations_to_", "to ").replace("_", " ") for column in columns)]]
    lines += [[METHODS[result.method].label, *map(cell, columns, row)] for result, row in zip(results, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [lines[0], rule, *lines[1:]]]
    return "\n".join("| " + " | ".join(row) + " |" for row in aligned)


# ---------------------------------------------------------------------------------------------------------------------
# The plot


def draw(results: Sequence[Result], path: Path) -> None:
    """Means and bands, each with its name at its end, instead of a legend of colours."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    evaluations = len(results[0].mean)
    at = np.arange(1, evaluations + 1)
    bottom = lowest_shown(results)
    pyplot.rcParams.update({"font.size": 10, "font.family": "DejaVu Sans"})
    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=200)
    figure.subplots_adjust(left=0.085, right=0.705, top=0.97, bottom=0.12)
    axes.set(xlim=(0, evaluations), ylim=(bottom, 1.0))
    axes.set(xlabel="evaluations", ylabel="share of the best possible hypervolume")
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    # The default last, so that no other line covers it.
    for order, result in enumerate(sorted(results, key=lambda result: result.method == DEFAULT)):
        method, default = METHODS[result.method], result.method == DEFAULT
        style = "--" if method.ours and not default else "-"
        axes.fill_between(at, result.low, result.high, color=method.colour, alpha=0.13, linewidth=0, zorder=2 + order)
        axes.plot(at, result.mean, style, color=method.colour, linewidth=2.8 if default else 1.4, zorder=3 + order)
    label_ends(axes, results, bottom)
    seeds = len(results[0].shares)
    note = f"mean of {seeds} seeds; bands: 95 % confidence" if seeds > 1 else "one seed"
    axes.text(0.985, 0.03, note, transform=axes.transAxes, ha="right", fontsize=9, color="#555555")
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    figure.savefig(draft)
    draft.replace(path)
    pyplot.close(figure)


def lowest_shown(results: Sequence[Result]) -> float:
    """Start of the axis: all lines climb from 0, and the differences are in the last tenths."""
    last = min(float(result.mean[-1]) for result in results)
    return min(0.6, max(0.0, math.floor(last * 10 - 1) / 10))


def label_ends(axes: Any, results: Sequence[Result], bottom: float) -> None:
    """Names each line at its end. The ends are close together, so the names are spread and connected to their lines."""
    best_first = sorted(results, key=lambda result: -result.mean[-1])
    wanted = [max(bottom, float(result.mean[-1])) for result in best_first]
    places = spread(wanted, 0.055 * (1.0 - bottom), bottom, 1.0)
    # Horizontally in shares of the plot's width, vertically in shares of the hypervolume.
    transform = axes.get_yaxis_transform()
    for result, end, place in zip(best_first, wanted, places):
        method, default = METHODS[result.method], result.method == DEFAULT
        leader = {"color": method.colour, "linewidth": 1.8 if default else 1.0, "clip_on": False}
        axes.plot([1.003, 1.012, 1.04, 1.049], [end, end, place, place], transform=transform, **leader)
        axes.text(
            1.056,
            place,
            f"{method.label} {result.mean[-1]:.3f}",
            transform=transform,
            color=darker(method.colour),
            fontsize=9.5,
            fontweight="bold" if default else "normal",
            va="center_baseline",
        )


def darker(colour: str) -> tuple[float, ...]:
    """A colour for letters, which need more contrast with white than a line does."""
    return tuple(0.75 * int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))


def spread(wanted: Sequence[float], gap: float, bottom: float, top: float) -> list[float]:
    """Heights near the wanted ones, which are descending, and at least a gap apart."""
    places: list[float] = []
    for height in wanted:
        places.append(min([height, top] if not places else [height, places[-1] - gap]))
    floor = bottom
    for index in reversed(range(len(places))):
        places[index] = max(places[index], floor)
        floor = places[index] + gap
    return places


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def say(text: str) -> None:
    print(f"compare_peers.py: {text}", file=sys.stderr, flush=True)


def whole_number(least: int, most: float = math.inf) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            limits = f"from {least}" + (f" to {most:,}" if math.isfinite(most) else "")
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {limits}")
        return int(text)

    return parse


def fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction above 0 and up to 1, such as 0.20 for 20 %")
    return value


def method_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METHODS:
            raise argparse.ArgumentTypeError(f"unknown method {name!r}; the methods are {', '.join(METHODS)}")
        if names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"{name} is named more than once")
    return names


def parse_options() -> argparse.Namespace:
    default = [name for name in METHODS if name not in NOT_BY_DEFAULT]
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        epilog="What is compared, and how: scripts/compare_peers.sh --help",
        allow_abbrev=False,
    )
    parser.add_argument("table", metavar="TABLE.csv", type=Path)
    parser.add_argument("--seeds", metavar="N", type=whole_number(1), default=20)
    parser.add_argument("--evaluations", metavar="N", type=whole_number(1, CELLS), default=300)
    parser.add_argument("--max-error", metavar="E", type=fraction, default=0.2)
    parser.add_argument("--methods", metavar="A,B,..", type=method_names, default=default)
    parser.add_argument("--jobs", metavar="N", type=whole_number(1), default=usable_cores())
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("compare"))
    # Checks the options and the table only, before a build that takes minutes.
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    # One run of a peer, its cells to stdout: this program starts itself with it.
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=whole_number(0), default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compare(options: argparse.Namespace, table: Table) -> None:
    score = Score(table, 100.0 * options.max_error)
    if options.check:
        return
    if not options.out.exists():
        options.out.mkdir(parents=True)
        # Keeps results out of version control, in any folder.
        (options.out / ".gitignore").write_text("*\n", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="compare-peers-") as scratch:
        runs = make_runs(Comparison(options, table, Path(scratch)))
    results = []
    for method, of_seeds in runs.items():
        short = [str(seed) for seed, cells in enumerate(of_seeds) if len(cells) < options.evaluations]
        if short:
            say(f"{method}: seeds {', '.join(short)} ran out of new cells; they stay where they were from there on")
        results.append(summarise(method, np.array([score.curve(cells, options.evaluations) for cells in of_seeds])))
    replace(options.out / "comparison.csv", comparison_csv(results))
    replace(options.out / "summary.csv", summary_csv(results))
    draw(results, options.out / "comparison.png")
    print(summary_markdown(results))
    say(f"wrote {options.out}/comparison.csv, summary.csv and comparison.png")


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def main() -> int:
    options = parse_options()
    # SIGTERM stops the started runs as Ctrl-C does.
    signal.signal(signal.SIGTERM, interrupt)
    try:
        table = Table.read(options.table)
        if options.peer:
            cells = run_peer(options.peer, table, options.evaluations, 100.0 * options.max_error, options.seed)
            print(ARCHITECTURE, *map(format_cell, cells), sep="\n")
        else:
            compare(options, table)
    except Failure as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130
    except OSError as error:
        say(f"{error.filename or options.out}: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
