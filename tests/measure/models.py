"""Writes models of every kind into a folder, and prints their names as JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

FOLDER = Path(sys.argv[1])


def save(name, nodes, inputs, outputs, weights=(), **more):
    tensors = [numpy_helper.from_array(value, key) for key, value in dict(weights).items()]
    info = [[h.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = h.make_graph(nodes, name, *info, tensors)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, FOLDER / f"{name}.onnx", **more)
    return model


def node(kind, inputs, outputs, **attributes):
    return h.make_node(kind, inputs.split(), outputs.split(), **attributes)


def image_net(name, batch, **more):
    rng = np.random.default_rng(0)
    weights = {"k": rng.normal(size=(8, 3, 3, 3)).astype(np.float32), "w": rng.normal(size=(8, 10)).astype(np.float32)}
    nodes = [
        node("Conv", "x k", "c"),
        node("MaxPool", "c", "m", kernel_shape=[2, 2]),
        node("GlobalAveragePool", "m", "p"),
        node("Flatten", "p", "f"),
        node("Dropout", "f", "d"),
        node("MatMul", "d w", "y"),
    ]
    outputs = [("y", T.FLOAT, [1, 10]), ("f", T.FLOAT, [1, 8])]
    return save(name, nodes, [("x", T.FLOAT, [batch, 3, 16, 16])], outputs, weights, **more)


weights = np.ones((64, 10), np.float32)
image_net("two_outputs", 1)
save("mlp", [node("MatMul", "x w", "y")], [("x", T.FLOAT, [1, 64])], [("y", T.FLOAT, [1, 10])], {"w": weights})
save(
    "two_inputs",
    [node("Add", "a b", "y")],
    [("a", T.FLOAT, [2, 1, 64]), ("b", T.FLOAT, [2, 1, 64])],
    [("y", T.FLOAT, [2, 1, 64])],
)
save("rank_five", [node("Relu", "x", "y")], [("x", T.FLOAT, [1, 2, 3, 4, 5])], [("y", T.FLOAT, [1, 2, 3, 4, 5])])
save(
    "tokens",
    [node("Gather", "table ids", "e"), node("Cast", "mask", "m", to=T.FLOAT), node("ReduceMean", "e", "r", axes=[1]),
     node("ReduceMean", "m", "s", axes=[1]), node("Mul", "r s", "y")],
    [("ids", T.INT64, [1, 12]), ("mask", T.INT64, [1, 12])],
    [("y", T.FLOAT, [1, 10])],
    {"table": np.ones((300, 10), np.float32)},
)
save(
    "bytes",
    [node("Cast", "x", "f", to=T.FLOAT), node("GlobalAveragePool", "f", "y")],
    [("x", T.UINT8, [1, 3, 16, 16])],
    [("y", T.FLOAT, [1, 3, 1, 1])],
)
save(
    "half_inside",
    [node("Cast", "x", "h", to=T.FLOAT16), node("MatMul", "h w", "m"), node("Cast", "m", "y", to=T.FLOAT)],
    [("x", T.FLOAT, [1, 64])],
    [("y", T.FLOAT, [1, 10])],
    {"w": weights.astype(np.float16)},
)
save(
    "half_outside",
    [node("MatMul", "x w", "y")],
    [("x", T.FLOAT16, [1, 64])],
    [("y", T.FLOAT16, [1, 10])],
    {"w": weights.astype(np.float16)},
)
save("bool", [node("Not", "x", "y")], [("x", T.BOOL, [1, 8])], [("y", T.BOOL, [1, 8])])
image_net("open_batch", None)
image_net("named_batch", "batch")
image_net("minus_one", -1)
image_net("weights_beside", 1, save_as_external_data=True, location="weights_beside.bin", size_threshold=0)
image_net("weights_lost", 1, save_as_external_data=True, location="weights_lost.bin", size_threshold=0)
(FOLDER / "weights_lost.bin").unlink()
save(
    "quantised",
    [node("QuantizeLinear", "x s z", "q"), node("QLinearMatMul", "q s z w s z s z", "m"), node("DequantizeLinear", "m s z", "y")],
    [("x", T.FLOAT, [1, 64])],
    [("y", T.FLOAT, [1, 10])],
    {"s": np.float32(0.1), "z": np.uint8(128), "w": np.ones((64, 10), np.uint8)},
)
print(json.dumps(sorted(path.stem for path in FOLDER.glob("*.onnx"))))
