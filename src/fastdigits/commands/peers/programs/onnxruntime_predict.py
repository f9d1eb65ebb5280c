"""onnxruntime on the same network: Gemm, Relu, Softmax, batch normalisation folded into the first Gemm."""

from __future__ import annotations

import contender
import numpy as np
import onnx
import onnxruntime
from contender import Task, Trial
from onnx import TensorProto, helper, numpy_helper

THREADS = contender.threads_asked()
OPSET, IR_VERSION = 17, 8  # which every onnxruntime in use supports


def model(task: Task) -> bytes:
    """Return the network of `contender.weights` as an ONNX graph: x (n, 784) float32 → probs (n, 10)."""
    nodes, stored, flow = [], [], "x"
    folded = contender.folded_weights(task)
    for at, (weight, bias) in enumerate(folded, start=1):
        stored += [numpy_helper.from_array(weight, f"w{at}"), numpy_helper.from_array(bias, f"b{at}")]
        nodes.append(helper.make_node("Gemm", [flow, f"w{at}", f"b{at}"], [f"z{at}"]))
        flow = f"z{at}"
        if at < len(folded):
            nodes.append(helper.make_node("Relu", [flow], [f"a{at}"]))
            flow = f"a{at}"
    nodes.append(helper.make_node("Softmax", [flow], ["probs"], axis=1))
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 784])
    probs = helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "digits", [images], [probs], stored)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(built)
    return built.SerializeToString()


def predict_proba(task: Task) -> Trial:
    options = onnxruntime.SessionOptions()  # the default has all optimisations of the graph
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model(task), options, providers=["CPUExecutionProvider"])
    test = contender.floats("t10k", task.data)
    x = test[: task.images].copy()

    def probs(images: np.ndarray) -> np.ndarray:
        return session.run(None, {"x": images})[0]

    return Trial(
        contender.timed_calls(lambda: probs(x), task.calls),
        lambda: contender.probabilities_check(probs(test)),
        ["batch normalisation folded into the first layer"],
    )


if __name__ == "__main__":
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    contender.serve(versions, {"predict": predict_proba})
