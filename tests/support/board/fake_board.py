#!/usr/bin/env python3
"""A simulated NVIDIA Jetson board, for tests only.

One program that acts by the name of its call: trtexec, tegrastats, nvpmodel, jetson_clocks, sudo, dpkg-query (the version
of libnvinfer), and ina3221, the simulator of the power monitors' files (`ina3221 CONFIG FOLDER`, until its standard input
ends). All of them share one board, whose physics are given in closed form over CLOCK_MONOTONIC, so that the true values
are known.

The variable FAKE_BOARD names the board's JSON file, which may be replaced at any time, also while a program runs. The state
of the board is in files of the same folder: `truth.jsonl` (one line for each inference), `calls.log` (the calls that
changed the board's state, and every trtexec), and others. The keys:

    tensorrt           "8.2" | "5" | "7" | "10"
    layout             of tegrastats and the monitors: "tx2" | "nano" | "orin" (VDD_IN, date in front) | "agx-orin" (no
                       rail of the whole)
    sysfs              "iio" (JetPack 4) | "hwmon" (later kernels)
    serial             of the board, which rejects engines of other boards
    rights, needs_sudo whether tegrastats may read the rails at all; whether only by sudo. The latter also applies to
                       changes by nvpmodel and jetson_clocks
    sudo               "ok" | "password" (asks for one)
    idle_mw            idle power of the whole board
    clocks_idle_mw     added to it while jetson_clocks has fixed the clocks
    load_mw            added while an inference computes: its mean
    load_mw_per_byte   the same, for each byte of the model
    waveform_share, waveform_high
                       share of an inference at the beginning at high power, and that in multiples of load_mw
    build_mw, build_s  power added while an engine is built, and the duration of a build
    drift_mw_per_s     drift of the idle power, since the board's first program
    ambient_c, heat_c_per_w, heat_tau_s
                       temperature without power; its rise with power; and its time constant
    leak_mw_per_c      power added for each degree above the temperature of the idle board
    noise_percent      of each value of a power monitor, Gaussian
    conversion_s       time over which a power monitor takes the mean
    base_ms, ns_per_byte
                       an inference's time: for any model, and for each byte of the model
    fp16_factor, int8_factor
                       factors of that time in those precisions
    gap_ms             between two inferences
    jitter_percent     of each inference's time, Gaussian; half as much again without --useSpinWait
    outlier_share, outlier_factor
                       share of the inferences that take a multiple of their time
    throttle_at_c, throttle_factor, throttle_power
                       temperature above which clocks fall; divisor of times; factor of the load
    intruder           whether a second user computes too, on and off
    intruder_mw, intruder_latency_factor, intruder_period_s
                       power while on; times while on; and half the period
    modes              of nvpmodel: number -> [name, factor of times, factor of load]

Two trtexec at once double each other's times.

Faults, for the first PROGRAM_fault_times calls that they apply to, or for all:

    trtexec_fault      in builds: "fail_build", "unsupported"; in builds, or in inference with trtexec_fault_phase =
                       "inference": "out_of_memory", "disk_full"; in inference, or in builds with trtexec_fault_phase =
                       "build": "hang", "killed" (by SIGKILL), "crash" (by SIGABRT); in inference: "no_summary" (ends
                       without), "nan_summary", "no_times" (does not write --exportTimes), "half_times" (half of it)
    tegrastats_fault   "hang" (prints nothing), "ends_early" (after five lines), "stalls" (after five lines),
                       "half_lines" (every other line is cut), "garbage" (bytes that are not text), "nonsense"
                       (impossible power), "no_rights" (as rights = false)
    nvpmodel_fault, jetson_clocks_fault
                       "fail", "hang"

For Python 3.6, the one of JetPack 4, and its standard library alone.
"""

import json
import math
import os
import random
import signal
import sys
import time

DEFAULTS = {
    "tensorrt": "8.2", "layout": "tx2", "sysfs": "iio", "serial": "0320818005213", "rights": True, "needs_sudo": False,
    "sudo": "ok", "idle_mw": 2000.0, "clocks_idle_mw": 300.0, "load_mw": 4000.0, "load_mw_per_byte": 0.0,
    "waveform_share": 0.6, "waveform_high": 1.4, "build_mw": 1500.0, "build_s": 0.3, "drift_mw_per_s": 0.0,
    "ambient_c": 25.0, "heat_c_per_w": 0.5, "heat_tau_s": 2.0, "leak_mw_per_c": 0.0, "noise_percent": 1.0,
    "conversion_s": 0.002, "base_ms": 2.0, "ns_per_byte": 20.0, "fp16_factor": 0.6, "int8_factor": 0.5, "gap_ms": 0.01,
    "jitter_percent": 0.5, "outlier_share": 0.001, "outlier_factor": 2.0, "throttle_at_c": 90.0, "throttle_factor": 0.6,
    "throttle_power": 0.5, "intruder": False, "intruder_mw": 1500.0, "intruder_latency_factor": 1.7,
    "intruder_period_s": 0.25,
    "modes": {
        "0": ["MAXN", 1.0, 1.0], "1": ["MAXQ", 1.6, 0.55], "2": ["MAXP_CORE_ALL", 1.25, 0.75],
        "3": ["MAXP_CORE_ARM", 1.25, 0.7], "4": ["MAXP_CORE_DENVER", 1.25, 0.7],
    },
}

# Rails in the order of tegrastats, each with its share of the idle power and of the load.
RAILS = {
    "tx2": [("VDD_SYS_GPU", 0.07, 0.55), ("VDD_SYS_SOC", 0.18, 0.1), ("VDD_4V0_WIFI", 0.0, 0.0), ("VDD_IN", 1.0, 1.0),
            ("VDD_SYS_CPU", 0.12, 0.1), ("VDD_SYS_DDR", 0.08, 0.15)],
    "nano": [("POM_5V_IN", 1.0, 1.0), ("POM_5V_GPU", 0.05, 0.6), ("POM_5V_CPU", 0.15, 0.15)],
    "orin": [("VDD_IN", 1.0, 1.0), ("VDD_CPU_GPU_CV", 0.15, 0.65), ("VDD_SOC", 0.3, 0.2)],
    "agx-orin": [("VDD_GPU_SOC", 0.38, 0.6), ("VDD_CPU_CV", 0.06, 0.15), ("VIN_SYS_5V0", 0.56, 0.25)],
}

# Which chip measures which rails: its address, and its three channels.
CHIPS = {
    "tx2": [(0x40, ["VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI"]), (0x41, ["VDD_IN", "VDD_SYS_CPU", "VDD_SYS_DDR"])],
    "nano": [(0x40, ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"])],
    "orin": [(0x40, ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])],
    "agx-orin": [(0x40, ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]), (0x41, ["NC", "NC", "NC"])],
}

GPU_MHZ = {"tx2": (114, 1300), "nano": (76, 921), "orin": (306, 918), "agx-orin": (305, 1300)}


def now_ns():
    # `monotonic_ns` is too new.
    return int(time.monotonic() * 1e9)


def sleep_until(at_ns):
    rest = at_ns - now_ns()
    if rest > 0:
        time.sleep(rest / 1e9)


def start_ticks(process):
    """The start time of a process: the number alone may belong to another process by now."""
    try:
        with open("/proc/%d/stat" % process) as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    # A killed process stays listed until its parent waits for it.
    return None if fields[0] in ("Z", "X") else fields[19]


def write_whole(path, text):
    """Writes a file so that no reader sees half of it."""
    with open("%s.%d.part" % (path, os.getpid()), "w") as file:
        file.write(text)
    os.rename(file.name, path)


class Board:
    """The board, shared by all programs."""

    def __init__(self, path):
        self.path = path
        self.folder = os.path.dirname(os.path.abspath(path))
        self.stamp = self.config = None
        self.state_stamp, self.state = None, {}
        self.loads, self.loads_checked, self.sequence = {}, 0, 0
        self.history, self.history_at = [], 0
        self.temperature, self.temperature_ns = None, 0
        os.makedirs(self.file("loads"), exist_ok=True)
        # The time of the board begins with its first program.
        try:
            file = os.open(self.file("started"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, b"%d\n" % now_ns())
            os.close(file)
        except FileExistsError:
            pass
        self.started_ns = 0
        while not self.started_ns:
            with open(self.file("started")) as file:
                self.started_ns = int(file.read() or 0)
        self.refresh()

    def file(self, name):
        return os.path.join(self.folder, name)

    def refresh(self):
        """Applies changes of the JSON file."""
        stat = os.stat(self.path)
        stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if stamp != self.stamp:
            with open(self.path) as file:
                self.config = dict(DEFAULTS, **json.load(file))
            self.stamp = stamp
        try:
            stat = os.stat(self.file("state.json"))
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self.state_stamp:
                with open(self.file("state.json")) as file:
                    self.state = json.load(file)
                self.state_stamp = stamp
        except OSError:
            pass

    def __getitem__(self, key):
        return self.config[key]

    def set_state(self, **changes):
        state = dict(self.state, **changes)
        write_whole(self.file("state.json"), json.dumps(state))
        self.refresh()

    def append(self, name, text):
        # One write: several programs may append at the same time.
        file = os.open(self.file(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(file, (text + "\n").encode())
        os.close(file)

    def log_call(self, program, arguments):
        self.append("calls.log", " ".join([program] + arguments))

    def has_rights(self):
        return self["rights"] and (not self["needs_sudo"] or "FAKE_SUDO" in os.environ)

    def mode(self):
        return self.state.get("mode", "0")

    def fault(self, program, *applicable):
        """The program's fault, if it is one of these and has calls left."""
        fault = self.config.get(program + "_fault")
        if fault not in applicable:
            return None
        times = self.config.get(program + "_fault_times")
        if times is not None:
            # One byte for each faulty call.
            path = self.file(program + ".faults")
            self.append(program + ".faults", "")
            if os.path.getsize(path) > times:
                return None
        return fault

    # Loads.

    def publish(self, load):
        """Sets the load of this process on the board from now on; None ends it."""
        old = "%d-%d" % (os.getpid(), self.sequence)
        self.sequence += 1
        if load is not None:
            name = "%d-%d" % (os.getpid(), self.sequence)
            load = dict(load, ticks=start_ticks(os.getpid()))
            # Outside of the folder, whose files are read at any time.
            part = self.file("load.%d.part" % os.getpid())
            with open(part, "w") as file:
                json.dump(load, file)
            os.rename(part, os.path.join(self.file("loads"), name))
        try:
            os.remove(os.path.join(self.file("loads"), old))
        except OSError:
            pass

    def current_loads(self):
        names = os.listdir(self.file("loads"))
        check = now_ns() - self.loads_checked > 50000000
        if check:
            # Processes may have been killed.
            self.loads_checked = now_ns()
        known, newest = {}, {}
        for name in names:
            process, sequence = (int(part) for part in name.split("-"))
            load = self.loads.get(name)
            if load is None:
                try:
                    with open(os.path.join(self.file("loads"), name)) as file:
                        load = json.load(file)
                except OSError:
                    continue  # It has ended.
                load["alive"] = start_ticks(process) == load["ticks"]
            elif check:
                load["alive"] = start_ticks(process) == load["ticks"]
            known[name] = load
            if load["alive"] and newest.get(process, (-1, None))[0] < sequence:
                newest[process] = (sequence, load)
        self.loads = known
        return {process: load for process, (_, load) in newest.items()}

    def remember(self, from_ns, to_ns, mean_mw):
        """Heat that a load left."""
        self.append("history.jsonl", json.dumps([from_ns, to_ns, mean_mw]))

    # Physics.

    def idle_mw(self, at_ns):
        idle = self["idle_mw"] + self["drift_mw_per_s"] * (at_ns - self.started_ns) / 1e9
        return idle + (self["clocks_idle_mw"] if self.state.get("clocks") else 0.0)

    def temperature_c(self, at_ns, loads):
        # It changes slowly, so it is not computed for every reading.
        if self.temperature is not None and abs(at_ns - self.temperature_ns) < 20000000:
            return self.temperature
        try:
            with open(self.file("history.jsonl")) as file:
                file.seek(self.history_at)
                for line in iter(file.readline, ""):
                    if not line.endswith("\n"):
                        break
                    self.history.append(json.loads(line))
                    self.history_at = file.tell()
        except OSError:
            pass
        tau_ns = max(self["heat_tau_s"], 1e-3) * 1e9
        self.history = [entry for entry in self.history if at_ns - entry[1] < 20.0 * tau_ns]

        def rise(since_ns):
            return 1.0 - math.exp(-max(0, at_ns - since_ns) / tau_ns)

        heat = sum(mw * (rise(begin) - rise(end)) for begin, end, mw in self.history)
        heat += sum(load["mean_mw"] * rise(load["since_ns"]) for load in loads.values())
        self.temperature = self.resting_c() + self["heat_c_per_w"] * heat / 1e3
        self.temperature_ns = at_ns
        return self.temperature

    def resting_c(self):
        return self["ambient_c"] + self["heat_c_per_w"] * self["idle_mw"] / 1e3

    def leak_mw(self, temperature):
        return self["leak_mw_per_c"] * (temperature - self.resting_c())

    def intruder_share(self, from_ns, to_ns):
        """Share of that time in which the second user computes."""
        if not self["intruder"]:
            return 0.0
        half = self["intruder_period_s"] * 1e9

        def on_until(at_ns):
            periods, rest = divmod(at_ns - self.started_ns, 2.0 * half)
            return periods * half + min(rest, half)

        return (on_until(to_ns) - on_until(from_ns)) / max(1, to_ns - from_ns)

    def power(self, at_ns):
        """Mean over a power monitor's last conversion: idle, and of the load, in mW."""
        loads = self.current_loads()
        from_ns = at_ns - self["conversion_s"] * 1e9
        load_mw = self["intruder_mw"] * self.intruder_share(from_ns, at_ns)
        for load in loads.values():
            load_mw += mean_load(load, from_ns, at_ns)
        rest_mw = self.idle_mw(at_ns) + self.leak_mw(self.temperature_c(at_ns, loads))
        return rest_mw, load_mw, loads

    def rails(self, at_ns):
        """The values of the monitors, in whole mW."""
        rest_mw, load_mw, loads = self.power(at_ns)
        values = {}
        for name, of_rest, of_load in RAILS[self["layout"]]:
            true = of_rest * rest_mw + of_load * load_mw
            values[name] = int(round(true * (1.0 + random.gauss(0.0, 1.0) * self["noise_percent"] / 100.0)))
        return values, loads

    def is_throttled(self, temperature):
        return temperature > self["throttle_at_c"]


def mean_load(load, from_ns, to_ns):
    """Mean power of a load over some time, with the pulses of its inferences."""
    begin = max(from_ns, load["since_ns"])
    if to_ns <= begin:
        return 0.0
    if "period_ns" not in load:
        return load["mean_mw"] * (to_ns - begin) / (to_ns - from_ns)
    period, busy = load["period_ns"], load["busy_ns"]
    high_ns = load["share"] * busy
    high = load["high"]
    low = (1.0 - load["share"] * high) / max(1e-9, 1.0 - load["share"])

    def until(at_ns):
        periods, rest = divmod(at_ns - load["origin_ns"], period)
        return periods * busy + min(rest, high_ns) * high + max(0.0, min(rest, busy) - high_ns) * low

    return load["busy_mw"] * (until(to_ns) - until(begin)) / (to_ns - from_ns)


# trtexec


class Failed(Exception):
    """A failure with the ending of trtexec."""


class Trtexec:
    FLAGS = {
        # Options of all versions; then those of some versions.
        "": "--fp16 --int8 --verbose --help --useSpinWait",
        "5": "",
        "7": "--best --buildOnly --explicitBatch --noDataTransfers --exposeDMA --useCudaGraph --noBuilderCache "
             "--dumpProfile --dumpOutput --dumpRefit --separateProfileRun --safe --threads --noTF32 --refit "
             "--allowGPUFallback",
        "8.2": "--best --buildOnly --explicitBatch --noDataTransfers --exposeDMA --useCudaGraph --noBuilderCache "
               "--dumpProfile --dumpOutput --dumpRefit --separateProfileRun --safe --threads --noTF32 --refit "
               "--allowGPUFallback --consistency --restricted --directIO --timeDeserialize --timeRefit "
               "--useManagedMemory",
        "10": "--best --bf16 --fp8 --skipInference --noDataTransfers --exposeDMA --useCudaGraph --noBuilderCache "
              "--dumpProfile --dumpOutput --dumpRefit --dumpLayerInfo --separateProfileRun --safe --threads --noTF32 "
              "--refit --allowGPUFallback --directIO --timeDeserialize --timeRefit --useManagedMemory --stronglyTyped "
              "--versionCompatible",
    }
    VALUES = {
        "": "--onnx --saveEngine --loadEngine --iterations --avgRuns --percentile --device --useDLACore --calib "
            "--output",
        "5": "--workspace --batch",
        "7": "--workspace --batch --maxBatch --warmUp --duration --sleepTime --streams --exportTimes --exportOutput "
             "--exportProfile --shapes --minShapes --optShapes --maxShapes --loadInputs --plugins --inputIOFormats "
             "--outputIOFormats --minTiming --avgTiming --tacticSources",
        "8.2": "--workspace --batch --maxBatch --warmUp --duration --sleepTime --idleTime --streams --exportTimes "
               "--exportOutput --exportProfile --shapes --minShapes --optShapes --maxShapes --loadInputs --plugins "
               "--inputIOFormats --outputIOFormats --minTiming --avgTiming --tacticSources --timingCacheFile "
               "--sparsity --profilingVerbosity",
        "10": "--memPoolSize --warmUp --duration --sleepTime --idleTime --infStreams --exportTimes --exportOutput "
              "--exportProfile --exportLayerInfo --shapes --minShapes --optShapes --maxShapes --loadInputs "
              "--staticPlugins --dynamicPlugins --inputIOFormats --outputIOFormats --avgTiming --tacticSources "
              "--timingCacheFile --sparsity --profilingVerbosity --builderOptimizationLevel",
    }
    TAGS = {"5": "", "7": "", "8.2": " [TensorRT v8201]", "10": " [TensorRT v100300]"}

    def __init__(self, board, argv):
        self.board, self.argv = board, argv
        self.version = board["tensorrt"]
        self.options = {}
        self.load = None

    def line(self, text, level="I"):
        if self.version == "5":
            prefix = ""
        else:
            prefix = time.strftime("[%m/%d/%Y-%H:%M:%S] ") + "[%s] " % level
        sys.stdout.write(prefix + text + "\n")
        sys.stdout.flush()

    def fail(self, *lines):
        for text in lines:
            self.line(text, "E")
        raise Failed()

    def stamp(self, how):
        command = " ".join(["/usr/src/tensorrt/bin/trtexec"] + self.argv)
        sys.stdout.write("&&&& %s TensorRT.trtexec%s # %s\n" % (how, self.TAGS[self.version], command))
        sys.stdout.flush()

    def run(self):
        self.board.log_call("trtexec", self.argv)
        self.stamp("RUNNING")
        try:
            self.parse()
            if "--help" in self.options:
                self.help()
                self.stamp("PASSED")
                return 0
            self.work()
        except Failed:
            self.board.publish(None)
            self.stamp("FAILED")
            return 1
        self.stamp("PASSED")
        return 0

    def parse(self):
        flags = (self.FLAGS[""] + " " + self.FLAGS[self.version]).split()
        values = (self.VALUES[""] + " " + self.VALUES[self.version]).split()
        for word in self.argv:
            name, equals, value = word.partition("=")
            name = "--help" if name == "-h" else name
            if name in flags or (equals and name in values):
                self.options[name] = value
                # Some have an optional value: `--explicitBatch=1`.
            elif self.version == "5":
                self.line("Unknown argument: " + word)
                self.help()
                raise Failed()
            else:
                self.line("Unknown option: " + word.replace("=", " "), "E")
                self.help()
                raise Failed()
        if "--help" not in self.options and not {"--onnx", "--loadEngine"} & set(self.options):
            self.line("Model missing or format not recognized", "E")
            self.help()
            raise Failed()

    def help(self):
        sys.stdout.write("=== Model Options ===\n")
        for name in (self.VALUES[""] + " " + self.VALUES[self.version]).split():
            sys.stdout.write("  %s=<value>\n" % name)
        for name in (self.FLAGS[""] + " " + self.FLAGS[self.version]).split():
            sys.stdout.write("  %s\n" % name)
        sys.stdout.flush()

    def number(self, name, default):
        try:
            return float(self.options[name]) if name in self.options else default
        except ValueError:
            self.fail("Invalid value for option %s" % name)

    def work(self):
        board = self.board
        if "--loadEngine" in self.options:
            self.line("=== Model Options ===")
            self.line("Format: *")
            engine = self.read_engine()
        else:
            self.line("=== Model Options ===")
            self.line("Format: ONNX")
            self.line("Model: " + self.options["--onnx"])
            engine = self.build()
        if {"--buildOnly", "--skipInference"} & set(self.options):
            self.line("Skipped inference phase since --%s is added." % (
                "skipInference" if self.version == "10" else "buildOnly"))
            return
        fault = self.fault("inference")
        if fault == "out_of_memory":
            self.line("Error[2]: [executionContext.cpp::ExecutionContext::%d] Error Code 2: OutOfMemory (no further "
                      "information)" % 410, "E")
            self.fail("Unable to create execution context for stream 0.", "Set Up inference failed")
        self.line("Using random values for input input")
        self.line("Created input binding for input with dimensions 1x3x32x32")
        self.line("Using random values for output logits")
        self.line("Created output binding for logits with dimensions 1x10")
        self.infer(engine, fault)
        board.publish(None)

    def fault(self, phase):
        both = {"out_of_memory": "build", "disk_full": "build", "hang": "inference", "killed": "inference",
                "crash": "inference"}
        place = self.board.config.get("trtexec_fault_phase")
        here = [fault for fault, usual in both.items() if (place or usual) == phase]
        if phase == "build":
            here += ["fail_build", "unsupported"]
        else:
            here += ["no_summary", "nan_summary", "no_times", "half_times"]
        return self.board.fault("trtexec", *here)

    def disaster(self, fault):
        """Ends or hangs, as the fault demands."""
        if fault == "hang":
            while True:
                time.sleep(3600.0)
        if fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "crash":
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            sys.stdout.write("Cuda failure: an illegal memory access was encountered\n")
            sys.stdout.flush()
            os.abort()

    def precision(self):
        if "--int8" in self.options:
            return "int8"
        return "fp16" if "--fp16" in self.options else "fp32"

    def build(self):
        import hashlib

        board, path = self.board, self.options["--onnx"]
        set_up = ["Failed to create engine from model.", "Engine set up failed"]
        if self.version != "5":
            self.line("=== Device Information ===")
            self.line("Selected Device: NVIDIA Tegra X2")
            self.line("Compute Capability: 6.2")
        if self.version in ("8.2", "10"):
            self.line("TensorRT version: " + ("8.2.1" if self.version == "8.2" else "10.3.0"))
            self.line("[TRT] [MemUsageChange] Init CUDA: CPU +267, GPU +0, now: CPU 285, GPU 3421 (MiB)")
            self.line("Start parsing network model")
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            self.fail("[TRT] ModelImporter.cpp:735: Failed to parse ONNX model from file: " + path,
                      "Failed to parse onnx file", "Parsing model failed", *set_up)
        if not content:
            self.fail("[TRT] ModelImporter.cpp:735: Failed to parse ONNX model from file: " + path,
                      "Failed to parse onnx file", "Parsing model failed", *set_up)
        fault = self.fault("build")
        if fault == "unsupported":
            self.line("[TRT] ModelImporter.cpp:773: While parsing node number 3 [Einsum -> \"17\"]:", "E")
            self.line("[TRT] ModelImporter.cpp:774: --- Begin node ---", "E")
            self.line("[TRT] ModelImporter.cpp:776: --- End node ---", "E")
            self.line("[TRT] ModelImporter.cpp:779: ERROR: builtin_op_importers.cpp:4870 In function "
                      "importFallbackPluginImporter:", "E")
            sys.stdout.write("[8] Assertion failed: creator && \"Plugin not found, are the plugin name, version, and "
                             "namespace correct?\"\n")
            self.fail("Failed to parse onnx file", "Parsing model failed", *set_up)
        if self.version in ("8.2", "10"):
            self.line("Finish parsing network model")
        begin = now_ns()
        board.publish({"since_ns": begin, "mean_mw": board["build_mw"]})
        end = begin + int(board["build_s"] * 1e9)
        if fault in ("hang", "killed", "crash"):
            sleep_until((begin + end) // 2)
            self.disaster(fault)
        sleep_until(end)
        board.publish(None)
        board.remember(begin, now_ns(), board["build_mw"])
        if fault in ("fail_build", "out_of_memory"):
            if fault == "out_of_memory":
                self.line("[TRT] Skipping tactic 0x0000000000000000 due to Myelin error: out of memory", "W")
                self.line("Error[2]: [virtualMemoryBuffer.cpp::resizePhysical::161] Error Code 2: OutOfMemory (no "
                          "further information)", "E")
            self.line("Error[10]: [optimizer.cpp::computeCosts::2011] Error Code 10: Internal Error (Could not find "
                      "any implementation for node Conv_0 + Relu_1.)", "E")
            self.line("Error[2]: [builder.cpp::buildSerializedNetwork::609] Error Code 2: Internal Error (Assertion "
                      "enginePtr != nullptr failed. )", "E")
            self.fail("Engine could not be created from network", "Building engine failed", *set_up)
        engine = {"onnx_sha256": hashlib.sha256(content).hexdigest(), "onnx_size": len(content),
                  "precision": self.precision(), "tensorrt": self.version, "board": board["serial"]}
        if "--saveEngine" in self.options:
            data = json.dumps(engine).encode()
            try:
                with open(self.options["--saveEngine"], "wb") as file:
                    # A full disk leaves a part of the file.
                    file.write(data[:len(data) // 2] if fault == "disk_full" else data)
            except OSError:
                fault = "disk_full"
            if fault == "disk_full":
                self.fail("Saving engine to file failed.", *set_up)
        if self.version in ("8.2", "10"):
            self.line("Engine built in %g sec." % round((now_ns() - begin) / 1e9, 3))
        return engine

    def read_engine(self):
        path = self.options["--loadEngine"]
        set_up = ["Engine creation failed", "Engine set up failed"] if self.version != "10" else [
            "Failed to create engine from file.", "Engine set up failed"]
        begin = now_ns()
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            self.fail("Error opening engine file: " + path, *set_up)
        not_ours = "[TRT] INVALID_CONFIG: The engine plan file is generated on an incompatible device, expecting "\
                   "compute 6.2 got compute 7.2, please rebuild."
        try:
            engine = json.loads(data.decode())
        except ValueError:
            self.fail("Error[1]: [stdArchiveReader.cpp::StdArchiveReader::32] Error Code 1: Serialization "
                      "(Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match)",
                      "Error[4]: [runtime.cpp::deserializeCudaEngine::50] Error Code 4: Internal Error (Engine "
                      "deserialization failed.)", *set_up)
        if engine["tensorrt"] != self.version:
            self.fail("Error[1]: [stdArchiveReader.cpp::StdArchiveReader::35] Error Code 1: Serialization "
                      "(Serialization assertion stdVersionRead == serializationVersion failed.Version tag does not "
                      "match. Note: Current Version: 205, Serialized Engine Version: 43)",
                      "Error[4]: [runtime.cpp::deserializeCudaEngine::50] Error Code 4: Internal Error (Engine "
                      "deserialization failed.)", *set_up)
        if engine["board"] != self.board["serial"]:
            self.fail(not_ours, *set_up)
        if self.version in ("8.2", "10"):
            self.line("Engine loaded in %g sec." % round((now_ns() - begin) / 1e9 + 0.01, 4))
        return engine

    # Inference.

    def inference_ms(self, engine, throttled, others):
        """Time and power of an inference, while that many others compute at the same time."""
        board = self.board
        factor = {"fp32": 1.0, "fp16": board["fp16_factor"], "int8": board["int8_factor"]}[engine["precision"]]
        _, slower, power = board["modes"][board.mode()]
        mean = (board["base_ms"] + board["ns_per_byte"] * engine["onnx_size"] / 1e6) * factor * slower
        load = (board["load_mw"] + board["load_mw_per_byte"] * engine["onnx_size"]) * power
        if throttled:
            mean /= board["throttle_factor"]
            load *= board["throttle_power"]
        return mean * (1 + others), load

    def load_board(self, origin_ns, at_ns, mean_ms, busy_mw):
        """Sets the load of the board from now on, if it has changed."""
        board = self.board
        period_ns = (mean_ms + board["gap_ms"]) * 1e6
        load = {"origin_ns": origin_ns, "mean_mw": busy_mw * mean_ms * 1e6 / period_ns, "period_ns": period_ns,
                "busy_ns": mean_ms * 1e6, "busy_mw": busy_mw, "share": board["waveform_share"],
                "high": board["waveform_high"]}
        if self.load is not None:
            if dict(self.load, since_ns=0) == dict(load, since_ns=0):
                return
            board.remember(self.load["since_ns"], at_ns, self.load["mean_mw"])
        self.load = dict(load, since_ns=at_ns)
        board.publish(self.load)

    def infer(self, engine, fault):
        board = self.board
        avg_runs = max(1, int(self.number("--avgRuns", 10)))
        if self.version == "5":
            warm_up_ns, duration_ns = 0, 0
            least = int(self.number("--iterations", 10)) * avg_runs
        else:
            warm_up_ns = self.number("--warmUp", 200.0) * 1e6
            duration_ns = self.number("--duration", 3.0) * 1e9
            least = int(self.number("--iterations", 10))
            self.line("Starting inference threads" if self.version == "7" else "Starting inference")
        jitter_factor = 1.0 if "--useSpinWait" in self.options else 1.5
        transfers = "--noDataTransfers" not in self.options
        # Timed runs and those before them: start in ms since the beginning, and the time of computing.
        runs, warm = [], 0
        energy, above = 0.0, 0.0
        begin = pointer = now_ns()
        timed_ns = begin + int(warm_up_ns)
        cut, printed = begin, 0
        # In steps, so that changes of the board count from their time on.
        is_timed = False
        while True:
            if cut >= timed_ns and not is_timed:
                # After the end of the run before it.
                timed_ns = cut = pointer
                is_timed = True
            board.refresh()
            loads = board.current_loads()
            temperature = board.temperature_c(cut, loads)
            throttled = board.is_throttled(temperature)
            others = [load for process, load in loads.items() if process != os.getpid()]
            others_compute = sum("period_ns" in load for load in others)
            mean_ms, busy_mw = self.inference_ms(engine, throttled, others_compute)
            step_end = cut + 20000000
            if cut < timed_ns < step_end:
                step_end = timed_ns
            shared = board.intruder_share(cut, step_end)
            slow_ms = mean_ms * (1.0 + (board["intruder_latency_factor"] - 1.0) * shared)
            self.load_board(begin, cut, slow_ms, busy_mw)
            jitter = board["jitter_percent"] / 100.0 * jitter_factor
            done = False
            while pointer < step_end:
                time_ms = mean_ms * max(0.2, 1.0 + random.gauss(0.0, jitter))
                if shared > 0.0 and random.random() < shared:
                    # The factor depends on the activity of the other one.
                    time_ms *= 1.0 + (board["intruder_latency_factor"] - 1.0) * random.uniform(0.2, 1.8)
                if random.random() < board["outlier_share"]:
                    time_ms *= board["outlier_factor"]
                runs.append(((pointer - begin) / 1e6, time_ms))
                if not is_timed:
                    warm += 1
                pointer += int((time_ms + board["gap_ms"]) * 1e6)
                if is_timed and pointer - timed_ns >= duration_ns and len(runs) - warm >= least:
                    done = True
                    break
            end = pointer if done else step_end
            if is_timed:
                span = (end - cut) / 1e9
                load_mw = board["intruder_mw"] * board.intruder_share(cut, end)
                for load in others + [self.load]:
                    load_mw += mean_load(load, cut, end)
                rest_mw = board.idle_mw((cut + end) // 2) + board.leak_mw(temperature)
                energy += (rest_mw + load_mw) * span
                above += load_mw * span
            cut = end
            sleep_until(cut)
            if fault in ("hang", "killed", "crash") and (done or (is_timed and cut - timed_ns > duration_ns / 2)):
                self.disaster(fault)
            if self.version == "5":
                while len(runs) - printed >= avg_runs:
                    self.old_line(runs[printed:printed + avg_runs])
                    printed += avg_runs
            if done:
                break
        board.publish(None)
        board.remember(self.load["since_ns"], cut, self.load["mean_mw"])
        timed = runs[warm:]
        times = [time_ms for _, time_ms in timed]
        board.append("truth.jsonl", json.dumps({
            "model": engine["onnx_sha256"], "start_ns": timed_ns, "end_ns": cut, "queries": len(times),
            "latency_ms": sum(times) / len(times), "energy_mj_total": energy / len(times),
            "energy_mj_above_idle": above / len(times),
        }))
        if self.version == "5":
            self.line("Done.")
            return
        traces = [Trace(start, time_ms, transfers) for start, time_ms in runs]
        if "--exportTimes" in self.options and fault != "no_times":
            self.export(traces if self.version != "10" else traces[warm:], fault)
        if fault == "no_summary":
            return
        self.report(traces[warm:], warm, warm_up_ns / 1e6, (cut - timed_ns) / 1e9, avg_runs, fault == "nan_summary")

    def old_line(self, runs):
        times = sorted(time_ms for _, time_ms in runs)
        mean = sum(times) / len(times)
        self.line("Average over %d runs is %g ms (host walltime is %g ms, 99%% percentile time is %g)." % (
            len(times), mean, mean + 0.15, times[min(len(times) - 1, int(0.99 * len(times)))]))

    def export(self, traces, fault):
        if self.version == "10":
            names = ["startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs", "startD2hMs",
                     "endD2hMs", "h2dMs", "computeMs", "d2hMs", "latencyMs"]
        else:
            names = ["startEnqMs", "endEnqMs", "startInMs", "endInMs", "startComputeMs", "endComputeMs", "startOutMs",
                     "endOutMs", "inMs", "computeMs", "outMs", "latencyMs", "endToEndMs"]
        text, separator = "[\n", "  "
        for trace in traces:
            pairs = ", ".join('"%s" : %g' % pair for pair in zip(names, trace.exported()))
            text += "%s{ %s }\n" % (separator, pairs)
            separator = ", "
        text += "]\n"
        try:
            with open(self.options["--exportTimes"], "w") as file:
                # It ignores whether writing succeeds.
                file.write(text[:len(text) // 2] if fault in ("half_times", "disk_full") else text)
        except OSError:
            pass

    def report(self, traces, warm, warm_up_ms, walltime_s, avg_runs, nan):
        old = self.version == "7"
        # Version 7 counts batches, which gives 0 for models with an explicit batch.
        counted = 0 if old else len(traces)
        self.line("Warmup completed %d queries over %g ms" % (0 if old else warm, warm_up_ms))
        self.line("Timing trace has %d queries over %g s" % (counted, walltime_s))
        if not old:
            self.line("")
            self.line("=== Trace details ===")
        self.line("Trace averages of %d runs:" % avg_runs)
        for first in range(0, min(len(traces) - avg_runs + 1, 20 * avg_runs), avg_runs):
            mean = Trace.mean(traces[first:first + avg_runs])
            end_to_end = "" if self.version == "10" else "end to end %g ms, " % mean["end"]
            self.line("Average on %d runs - GPU latency: %g ms - Host latency: %g ms (%senqueue %g ms)" % (
                avg_runs, mean["compute"], mean["host"], end_to_end, mean["enqueue"]))
        host = [trace.host for trace in traces]
        end_to_end = [trace.end for trace in traces]
        enqueue = [trace.enqueue for trace in traces]
        compute = [float("nan") if nan else trace.compute for trace in traces]
        if old:
            self.report_7(host, end_to_end, enqueue, compute, walltime_s)
            return
        self.line("")
        self.line("=== Performance summary ===")
        self.line("Throughput: %g qps" % (len(traces) / walltime_s))
        self.line("Latency: " + self.summary(host))
        if self.version == "8.2":
            self.line("End-to-End Host Latency: " + self.summary(end_to_end))
        self.line("Enqueue Time: " + self.summary(enqueue))
        self.line("H2D Latency: " + self.summary([trace.h2d for trace in traces]))
        self.line("GPU Compute Time: " + self.summary(compute))
        self.line("D2H Latency: " + self.summary([trace.d2h for trace in traces]))
        self.line("Total Host Walltime: %g s" % walltime_s)
        self.line("Total GPU Compute Time: %g s" % (sum(compute) / 1e3))
        mean = sum(compute) / len(compute)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in compute) / len(compute)) / mean
        if self.version == "10" and deviation > 0.01:
            self.line("* GPU compute time is unstable, with coefficient of variance = %g%%." % (100.0 * deviation), "W")
            self.line("  If not already in use, locking GPU clock frequency or adding --useSpinWait may improve the "
                      "stability.", "W")
        self.line("Explanations of the performance metrics are printed in the verbose logs.")
        self.line("")

    def percentiles(self):
        if "--percentile" in self.options:
            return [float(part) for part in self.options["--percentile"].split(",")]
        return [90.0, 95.0, 99.0] if self.version == "10" else [99.0]

    def summary(self, values):
        values = sorted(values)
        text = "min = %g ms, max = %g ms, mean = %g ms, median = %g ms" % (
            values[0], values[-1], sum(values) / len(values), median(values))
        for percent in self.percentiles():
            text += ", percentile(%g%%) = %g ms" % (percent, quantile(values, percent))
        return text

    def report_7(self, host, end_to_end, enqueue, compute, walltime_s):
        percent = self.percentiles()[0]

        def of(values):
            values = sorted(values)
            return [values[0], values[-1], sum(values) / len(values), median(values), quantile(values, percent)]

        self.line("Host Latency")
        labels = ["min", "max", "mean", "median", "percentile"]
        for label, latency, end in zip(labels, of(host), of(end_to_end)):
            at = " at %g%%" % percent if label == "percentile" else ""
            self.line("%s: %g ms%s (end to end %g ms%s)" % (label, latency, at, end, at))
        self.line("throughput: 0 qps")
        self.line("walltime: %g s" % walltime_s)
        self.line("Enqueue Time")
        values = of(enqueue)
        for label, value in [("min", values[0]), ("max", values[1]), ("median", values[3])]:
            self.line("%s: %g ms" % (label, value))
        self.line("GPU Compute")
        for label, value in zip(labels, of(compute)):
            at = " at %g%%" % percent if label == "percentile" else ""
            self.line("%s: %g ms%s" % (label, value, at))
        self.line("total compute time: %g s" % (sum(compute) / 1e3))


class Trace:
    """One inference."""

    __slots__ = ("start", "compute", "h2d", "d2h", "enqueue", "host", "end")

    def __init__(self, start, compute, transfers):
        self.start, self.compute = start, compute
        self.h2d, self.d2h = (0.012, 0.004) if transfers else (0.0, 0.0)
        self.enqueue = 0.3 * compute
        self.host = self.h2d + compute + self.d2h
        self.end = self.host + 0.008

    def exported(self):
        compute = self.start + 0.004 + self.h2d
        end = compute + self.compute
        starts = [self.start, self.start + self.enqueue, self.start + 0.004, compute, compute, end, end, end + self.d2h]
        lasts = [self.h2d, self.compute, self.d2h, self.host, self.end]
        return starts + lasts

    @staticmethod
    def mean(traces):
        return {name: sum(getattr(trace, name) for trace in traces) / len(traces)
                for name in ("compute", "host", "end", "enqueue")}


def median(values):
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2.0


def quantile(values, percent):
    return values[min(len(values) - 1, max(0, int(math.ceil(percent / 100.0 * len(values))) - 1))]


# The others


def tegrastats(board, arguments):
    interval, log = 1.0, None
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--interval" and index + 1 < len(arguments):
            interval = int(arguments[index + 1]) / 1e3
            index += 1
        elif word == "--logfile" and index + 1 < len(arguments):
            log = os.open(arguments[index + 1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            index += 1
        elif word == "--stop":
            return stop_tegrastats(board)
        elif word in ("--verbose", "--readall"):
            pass
        else:
            sys.stdout.write("Usage: tegrastats [-option]\nOptions:\n"
                             "    --help                  : print this help screen\n"
                             "    --interval <millisec>   : sample the information in <milliseconds>\n"
                             "    --logfile  <filename>   : dump the output of tegrastats to <filename>\n"
                             "    --stop                  : stop any running instances of tegrastats\n")
            return 0 if word == "--help" else 1
        index += 1
    write_whole(board.file("tegrastats-%d.pid" % os.getpid()), "%d" % os.getpid())
    fault = board.fault("tegrastats", "hang", "ends_early", "stalls", "half_lines", "garbage", "nonsense", "no_rights")
    output = 1 if log is None else log
    sums, lines = {}, 0
    while True:
        board.refresh()
        values, loads = board.rails(now_ns())
        if fault == "nonsense":
            values = {name: 10 ** 9 * (-1) ** lines for name in values}
        lines += 1
        for name, value in values.items():
            sums[name] = sums.get(name, 0) + value
        rights = board.has_rights() and fault != "no_rights"
        text = tegrastats_line(board, values, {name: total // lines for name, total in sums.items()}, loads, rights)
        data = (text + "\n").encode()
        if fault == "half_lines" and lines % 2:
            data = data[:random.randrange(1, len(data) - 1)] + b"\n"
        if fault == "garbage":
            data = bytes(random.randrange(256) for _ in range(60)) + b"\n"
        if fault == "hang" or (fault == "stalls" and lines > 5):
            time.sleep(interval)
            continue
        if fault == "ends_early" and lines > 5:
            return 0
        try:
            os.write(output, data)
        except OSError:
            return 1
        time.sleep(interval)


def stop_tegrastats(board):
    for name in os.listdir(board.folder):
        if name.startswith("tegrastats-") and name.endswith(".pid"):
            try:
                process = int(name[11:-4])
                with open("/proc/%d/cmdline" % process, "rb") as file:
                    if b"tegrastats" in file.read():
                        os.kill(process, signal.SIGTERM)
            except (OSError, ValueError):
                pass
            os.remove(board.file(name))
    return 0


def tegrastats_line(board, values, means, loads, rights):
    layout = board["layout"]
    temperature = board.temperature_c(now_ns(), loads)
    low, high = GPU_MHZ[layout]
    computes = any("period_ns" in load for load in loads.values())
    clock = high if computes or board.state.get("clocks") else low
    if computes and board.is_throttled(temperature):
        clock = int(high * board["throttle_factor"])
    load = random.randrange(96, 100) if computes else 0
    celsius = round(temperature * 2.0) / 2.0
    cores = 4 if layout == "nano" else 6

    def core():
        return "%d%%@%d" % (random.randrange(0, 90 if computes else 5), random.randrange(345, 352))

    head = "RAM %d/7852MB (lfb 1164x4MB)" % (2100 if computes else 1404)
    processor = "CPU [%s]" % ",".join(core() for _ in range(cores))
    if layout in ("tx2", "nano"):
        sensors = "PLL MCPU PMIC Tboard GPU BCPU thermal Tdiode" if layout == "tx2" else "PLL CPU PMIC GPU AO thermal"
        others = {"PMIC": 100.0, "Tboard": celsius - 4.0}
        shown = " ".join("%s@%gC" % (name, others.get(name, celsius)) for name in sensors.split())
        if not rights and layout == "tx2":
            # Only values that need no root; and cores in small letters, as older releases print them.
            return "%s %s EMC_FREQ 0%% GR3D_FREQ 0%% %s" % (head, processor.replace("CPU", "cpu"), shown)
        rails = " ".join("%s %d/%d" % (name, value, means[name]) for name, value in values.items())
        if not rights:
            return "%s SWAP 0/3926MB (cached 0MB) %s EMC_FREQ 0%% GR3D_FREQ 0%% %s" % (head, processor, shown)
        frequencies = "EMC_FREQ %d%%@1866 GR3D_FREQ %d%%@%d APE 150" % (17 if computes else 1, load, clock)
        fans = " MTS fg 0% bg 0%" if layout == "tx2" else ""
        return "%s SWAP 0/3926MB (cached 0MB) %s %s%s %s %s" % (head, processor, frequencies, fans, shown, rails)
    clocks = "[%d]" % clock if layout == "orin" else "[%d,%d]" % (clock, clock)
    names = ("cpu", "soc2", "soc0", "gpu", "tj", "soc1")
    sensors = " ".join("%s@%gC" % (name, round(temperature, 3)) for name in names)
    rails = " ".join("%s %dmW/%dmW" % (name, value, means[name]) for name, value in values.items())
    frequencies = "EMC_FREQ 18%%@3199 GR3D_FREQ %d%%@%s NVENC off NVDEC off NVJPG off VIC off OFA off APE 174" % (
        load, clocks)
    if not rights:
        frequencies, rails = "GR3D_FREQ 0%", ""
    date = time.strftime("%m-%d-%Y %H:%M:%S")
    line = "%s %s SWAP 0/3926MB (cached 0MB) %s %s %s %s" % (date, head, processor, frequencies, sensors, rails)
    return line.rstrip()


def needs_rights(board):
    return board["needs_sudo"] and "FAKE_SUDO" not in os.environ


def nvpmodel(board, arguments):
    if not run_fault(board, "nvpmodel"):
        sys.stderr.write("NVPM ERROR: Error opening /etc/nvpmodel.conf: 2\n")
        return 255
    if arguments in (["-q"], ["--query"]):
        sys.stdout.write("NV Fan Mode:quiet\nNV Power Mode: %s\n%s\n" % (board["modes"][board.mode()][0], board.mode()))
        return 0
    if len(arguments) == 2 and arguments[0] in ("-m", "--mode"):
        board.log_call("nvpmodel", arguments)
        if needs_rights(board):
            sys.stderr.write("NVPM ERROR: Error writing to /sys/devices/system/cpu/cpu1/online: 13\n"
                             "NVPM ERROR: failed to set power mode!\n")
            return 255
        if arguments[1] not in board["modes"]:
            sys.stderr.write("NVPM ERROR: power mode ID %s is not defined\n" % arguments[1])
            return 255
        # It sets its own clocks.
        board.set_state(mode=arguments[1], clocks=False)
        return 0
    sys.stderr.write("NVPM ERROR: unknown or incomplete options: %s\n" % " ".join(arguments))
    return 255


def jetson_clocks(board, arguments):
    if arguments != ["--show"]:
        board.log_call("jetson_clocks", arguments)
    if not run_fault(board, "jetson_clocks"):
        sys.stdout.write("Error: could not set clocks!\n")
        return 1
    if needs_rights(board):
        sys.stdout.write("Error: Run this script(/usr/bin/jetson_clocks) as a root user\n")
        return 1
    low, high = GPU_MHZ[board["layout"]]
    least = high if board.state.get("clocks") else low
    action = arguments[0] if arguments else "max"
    path = arguments[1] if len(arguments) > 1 else os.path.join(os.environ.get("HOME", "/root"), "l4t_dfs.conf")
    if action == "--show":
        sys.stdout.write("SOC family:tegra186  Machine:quill\nOnline CPUs: 0-5\n")
        sys.stdout.write("GPU MinFreq=%d000000 MaxFreq=%d000000 CurrentFreq=%d000000\n" % (least, high, least))
        sys.stdout.write("NV Power Mode: %s\n" % board["modes"][board.mode()][0])
    elif action == "--store":
        if os.path.exists(path):
            sys.stdout.write("File %s already exists. Can I overwrite it? Y/N:\n" % path)
            sys.stdout.flush()
            if sys.stdin.readline().strip() not in ("y", "Y"):
                sys.stdout.write("Error: file %s already exists!\n" % path)
                return 1
        with open(path, "w") as file:
            file.write("/sys/devices/17000000.gp10b/devfreq/17000000.gp10b/min_freq:%d000000\n" % least)
    elif action == "--restore":
        try:
            with open(path) as file:
                kept = int(file.read().strip().rpartition(":")[2])
        except (OSError, ValueError):
            sys.stdout.write("Error: %s file not found !\n" % path)
            return 1
        board.set_state(clocks=kept == high * 1000000)
    elif action == "max":
        board.set_state(clocks=True)
    else:
        sys.stdout.write("Error: Unknown option: %s\n" % action)
        return 1
    return 0


def run_fault(board, program):
    """Whether it may do its work."""
    fault = board.fault(program, "fail", "hang")
    while fault == "hang":
        time.sleep(3600.0)
    return fault is None


def sudo(board, arguments):
    if board["sudo"] != "ok":
        if "-n" in arguments[:1]:
            sys.stderr.write("sudo: a password is required\n")
        else:
            sys.stderr.write("sudo: a terminal is required to read the password; either use the -S option to read from "
                             "standard input or configure an askpass helper\n")
        return 1
    while arguments and arguments[0] in ("-n", "--"):
        arguments = arguments[1:]
    if not arguments:
        sys.stderr.write("usage: sudo -h | -K | -k | -V\n")
        return 1
    os.environ["FAKE_SUDO"] = "1"
    try:
        os.execvp(arguments[0], arguments)
    except OSError:
        sys.stderr.write("sudo: %s: command not found\n" % arguments[0])
        return 1


def ina3221(board, root):
    """The power monitors' files below a root, kept up to date until standard input ends."""
    import select

    def constant(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text + "\n")

    # Each file that changes, its rail, and its quantity.
    files = []

    def changing(path, rail, convert):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.append((os.open(path, os.O_RDWR | os.O_CREAT, 0o644), rail, convert))

    millivolt = 5000

    def power(mw):
        return mw

    def voltage(_):
        return millivolt

    def current(mw):
        return mw * 1000 // millivolt

    for index, (address, channels) in enumerate(CHIPS[board["layout"]]):
        if board["sysfs"] == "iio":
            device = os.path.join(root, "bus/i2c/drivers/ina3221x/0-%04x/iio:device%d" % (address, index))
            constant(os.path.join(device, "name"), "ina3221x")
            for channel, rail in enumerate(channels):
                constant(os.path.join(device, "rail_name_%d" % channel), rail)
                changing(os.path.join(device, "in_voltage%d_input" % channel), rail, voltage)
                changing(os.path.join(device, "in_current%d_input" % channel), rail, current)
                changing(os.path.join(device, "in_power%d_input" % channel), rail, power)
        else:
            device = os.path.join(root, "class/hwmon/hwmon%d" % (3 + index))
            constant(os.path.join(device, "name"), "ina3221")
            for channel, rail in enumerate(channels, 1):
                constant(os.path.join(device, "in%d_label" % channel), rail)
                changing(os.path.join(device, "in%d_input" % channel), rail, voltage)
                changing(os.path.join(device, "curr%d_input" % channel), rail, current)
            constant(os.path.join(device, "in7_label"), "sum of shunt voltages")
            constant(os.path.join(device, "in7_input"), "12")
    if board["sysfs"] != "iio":
        # Another device that is not a power monitor.
        constant(os.path.join(root, "class/hwmon/hwmon0/name"), "tmp451")
        constant(os.path.join(root, "class/hwmon/hwmon0/temp1_input"), "38000")
    is_told = False
    while True:
        board.refresh()
        values, _ = board.rails(now_ns())
        for file, rail, convert in files:
            # One write of constant length, so that no reader gets half of it.
            os.pwrite(file, b"%-8d\n" % convert(values.get(rail, 0)), 0)
        if not is_told:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            is_told = True
        if select.select([0], [], [], 0.002)[0] and not os.read(0, 4096):
            return 0


def dpkg_query(board, _arguments):
    versions = {"5": "5.1.6-1+cuda10.0", "7": "7.1.3-1+cuda10.2", "8.2": "8.2.1-1+cuda10.2", "10": "10.3.0.30-1+cuda12.5"}
    print(versions[board.config["tensorrt"]])
    return 0


def main():
    # As a program that is not Python ends when its reader has ended.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    if name == "fake_board.py" and arguments:
        name, arguments = arguments[0], arguments[1:]
    if name == "ina3221":
        return ina3221(Board(arguments[0]), arguments[1])
    board = Board(os.environ["FAKE_BOARD"])
    if name == "trtexec":
        return Trtexec(board, arguments).run()
    programs = {
        "tegrastats": tegrastats, "nvpmodel": nvpmodel, "jetson_clocks": jetson_clocks, "sudo": sudo,
        "dpkg-query": dpkg_query,
    }
    if name not in programs:
        sys.stderr.write("%s: not a program of this board\n" % name)
        return 127
    return programs[name](board, arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
