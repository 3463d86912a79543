"""Checks every model of a folder against the real ONNX checker, onnxruntime and OpenVINO.

    check_onnx.py FOLDER

For each `NAME.onnx` the folder holds `NAME.images`, the inputs of as many inferences as it has room for, and
`NAME.logits`, what each of them should give: raw little-endian 32-bit floats. The report goes to standard output as
JSON, a model's name to its opset, its operators, and the largest absolute difference of each runtime's logits.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import openvino

# OpenVINO computes in bfloat16 by default on processors that have it.
OPENVINO_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def with_onnxruntime(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    (logits,) = session.get_outputs()
    return lambda value: session.run([logits.name], {image.name: value})[0]


def with_openvino(core, path):
    compiled = core.compile_model(str(path), "CPU", OPENVINO_SETTINGS)
    return lambda value: compiled([value])[compiled.output(0)]


def check(core, path):
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    (image,) = model.graph.input
    shape = [dimension.dim_value for dimension in image.type.tensor_type.shape.dim]
    images = np.fromfile(path.with_suffix(".images"), "<f4").reshape(-1, *shape)
    expected = np.fromfile(path.with_suffix(".logits"), "<f4").reshape(len(images), -1)
    report = {
        "opset": model.opset_import[0].version,
        "operators": sorted({node.op_type for node in model.graph.node}),
    }
    for name, infer in [("onnxruntime", with_onnxruntime(path)), ("openvino", with_openvino(core, path))]:
        found = np.concatenate([infer(image) for image in images])
        if found.shape != expected.shape:
            raise ValueError(f"{name} gives the shape {found.shape}, expected {expected.shape}")
        if not np.isfinite(found).all():
            raise ValueError(f"{name} gives something other than numbers")
        report[name] = float(np.abs(found - expected).max())
    return report


def main():
    core = openvino.Core()
    reports = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
        try:
            reports[path.stem] = check(core, path)
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws belongs to its model's report
            reports[path.stem] = {"error": f"{type(error).__name__}: {error}"}
    json.dump(reports, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
