"""Classifies stored pixels with onnxruntime, as one who deploys a model does.

    check_accuracy.py FOLDER

The folder holds `model.onnx`, and for each set of images `NAME.pixels`, one byte a value, and `NAME.labels`, one byte
an image. JSON goes to standard output: for each name the number of images that are classified right, and the model's
metadata.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime


def main():
    folder = pathlib.Path(sys.argv[1])
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    report = {"metadata": session.get_modelmeta().custom_metadata_map, "correct": {}}
    for path in sorted(folder.glob("*.pixels")):
        labels = np.fromfile(path.with_suffix(".labels"), np.uint8)
        pixels = np.fromfile(path, np.uint8).reshape(len(labels), *image.shape).astype(np.float32)
        logits = [session.run(None, {image.name: one})[0] for one in pixels]
        report["correct"][path.stem] = int((np.concatenate(logits).argmax(axis=1) == labels).sum())
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
