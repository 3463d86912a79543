#!/usr/bin/env python3
"""Times an ONNX model in onnxruntime: the program of a device of kind "command" (docs/devices.md)."""
import json, os, sys, time
import numpy, onnxruntime

def of_plan(key, default):
    return float(os.environ.get("CONTROLLER_" + key, default))

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[-1], options, providers=["CPUExecutionProvider"])

def values(i):
    element = i.type[len("tensor("):-1]
    element = {"float": "float32", "double": "float64"}.get(element, element)
    # Zeros and ones are valid positions in almost every table.
    scale = 1 if element.startswith("float") else 2
    return (scale * numpy.random.random(i.shape)).astype(element)

inputs = {i.name: values(i) for i in session.get_inputs()}

def run_for(milliseconds):
    times_ms, begun = [], time.perf_counter()
    while not times_ms or (time.perf_counter() - begun) * 1e3 < milliseconds:
        start = time.perf_counter()
        session.run(None, inputs)
        times_ms.append(round((time.perf_counter() - start) * 1e3, 5))
    return times_ms

run_for(of_plan("WARM_UP_MS", 100))
started_ns = time.time_ns()
times_ms = run_for(of_plan("TIME_LIMIT_MS", 3000))
print(json.dumps({"device": f"onnxruntime {onnxruntime.__version__}", "times_ms": times_ms,
                  "started_ns": started_ns, "ended_ns": time.time_ns()}))
