"""The all-MiniLM-L6-v2 encoder written out as an ONNX graph, from its published weights alone.

Used once, at set-up, by `build_model.py`; needs `onnx`, which the running product does not have.
Only standard operators: onnxruntime's own fused BERT operators were measured and gain nothing here
(docs/adr/0004-embedding-runtime.md).

Source: Devlin et al. 2018 (BERT), and the model's own `config.json` for every size below.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HIDDEN = 384
HEADS = 12
LAYERS = 6
EPSILON = 1e-12
OPSET = 20
IR_VERSION = 10
#: Added to the score of a padded position; softmax turns it into exactly 0 in float32.
MASKED = -10_000.0
#: Only what the files we accept contain; the hash has been checked before this is read.
DTYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


def read_safetensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every tensor of a safetensors file, by name: 8 bytes of header length, JSON, raw bytes.

    Args:
        path: the file; its bytes must already be trusted (see `build_model.verify`).
    """
    blob = path.read_bytes()
    start = 8 + int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        flat = np.frombuffer(blob[first:last], dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


class GraphWriter:
    """Collects nodes and constants; every method returns the name of the value it adds."""

    def __init__(self, weights: dict[str, NDArray[np.generic]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Adds one operator with one output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name: str, *, transpose: bool = False) -> str:
        """A published tensor; torch keeps dense weights as (out, in), MatMul wants (in, out)."""
        value = self.weights[name]
        return self.constant(name, value.T if transpose else value)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """A constant, stored once however often it is asked for."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, name: str, *values: int) -> str:
        """A constant vector of shape or axis numbers."""
        return self.constant(name, np.array(values, dtype=np.int64))

    def scalar(self, name: str, value: float) -> str:
        """A float32 constant without dimensions."""
        return self.constant(name, np.array(value, dtype=np.float32))

    def dense(self, x: str, layer: str) -> str:
        """`x @ W + b`."""
        product = self.op("MatMul", x, self.weight(f"{layer}.weight", transpose=True))
        return self.op("Add", product, self.weight(f"{layer}.bias"))

    def norm(self, x: str, layer: str) -> str:
        """Layer normalisation over the hidden axis."""
        scale, shift = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON)


def embed(graph: GraphWriter) -> str:
    """Word + token type + position embeddings, normalised: float32 (n, tokens, HIDDEN).

    We only ever embed one segment, so its token type (row 0) is added to the positions here.
    """
    words = graph.op("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    positions = graph.weights["embeddings.position_embeddings.weight"]
    types = graph.weights["embeddings.token_type_embeddings.weight"]
    length = graph.op("Shape", "input_ids", start=1, end=2)
    first, step = graph.integers("zero", 0), graph.integers("one", 1)
    table = graph.constant("positions", (positions + types[0])[np.newaxis])
    placed = graph.op("Slice", table, first, length, step)
    return graph.norm(graph.op("Add", words, placed), "embeddings.LayerNorm")


def attention_bias(graph: GraphWriter) -> str:
    """0 where a token is real, MASKED where it is padding: float32 (n, 1, 1, tokens)."""
    once = graph.op("Unsqueeze", "attention_mask", graph.integers("one", 1))
    twice = graph.op("Unsqueeze", once, graph.integers("two", 2))
    real = graph.op("Cast", twice, to=TensorProto.FLOAT)
    padding = graph.op("Sub", graph.scalar("real", 1.0), real)
    return graph.op("Mul", padding, graph.scalar("masked", MASKED))


def attend(graph: GraphWriter, x: str, bias: str, layer: str) -> str:
    """Multi-head self-attention with its output projection, without the residual."""

    def heads(part: str, order: list[int]) -> str:
        split = graph.integers("split", 0, 0, HEADS, HIDDEN // HEADS)
        dense = graph.dense(x, f"{layer}.attention.self.{part}")
        return graph.op("Transpose", graph.op("Reshape", dense, split), perm=order)

    query, key = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])
    value = heads("value", [0, 2, 1, 3])
    raw = graph.op("MatMul", query, key)
    scaled = graph.op("Div", raw, graph.scalar("scale", math.sqrt(HIDDEN // HEADS)))
    weights = graph.op("Softmax", graph.op("Add", scaled, bias), axis=-1)
    mixed = graph.op("Transpose", graph.op("MatMul", weights, value), perm=[0, 2, 1, 3])
    joined = graph.op("Reshape", mixed, graph.integers("join", 0, 0, HIDDEN))
    return graph.dense(joined, f"{layer}.attention.output.dense")


def encode(graph: GraphWriter, x: str) -> str:
    """The six transformer layers: float32 (n, tokens, HIDDEN) in and out."""
    bias = attention_bias(graph)
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        attended = graph.op("Add", attend(graph, x, bias, layer), x)
        x = graph.norm(attended, f"{layer}.attention.output.LayerNorm")
        inner = graph.op("Gelu", graph.dense(x, f"{layer}.intermediate.dense"))
        outer = graph.op("Add", graph.dense(inner, f"{layer}.output.dense"), x)
        x = graph.norm(outer, f"{layer}.output.LayerNorm")
    return x


def pool(graph: GraphWriter, x: str) -> str:
    """Mean over the real tokens, then unit length: float32 (n, HIDDEN)."""
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    column = graph.op("Unsqueeze", mask, graph.integers("two", 2))
    total = graph.op("ReduceSum", graph.op("Mul", x, column), graph.integers("one", 1), keepdims=0)
    # Dividing by the token count would be undone by the normalisation, so it is left out.
    return graph.op("LpNormalization", total, axis=-1, p=2)


def build_graph(weights: dict[str, NDArray[np.generic]]) -> onnx.ModelProto:
    """The whole model.

    In: int64 `input_ids` and `attention_mask`, (n, tokens). Out: float32 `embedding`, (n, HIDDEN).

    Args:
        weights: `read_safetensors` of the published file.
    """
    graph = GraphWriter(weights)
    pool(graph, encode(graph, embed(graph)))
    graph.nodes[-1].output[0] = "embedding"
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", HIDDEN])
    constants = list(graph.constants.values())
    body = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, [output], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model
