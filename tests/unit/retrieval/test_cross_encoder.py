"""A cross-encoder small enough to be written down here: it scores by the mean of tokens' ids."""

import math
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from app.errors import ConfigurationError
from app.retrieval.cross_encoder import CrossEncoder, RerankingFailed

WORDS = {"[UNK]": 0, "[SEP]": 1, "bad": 2, "fair": 10, "good": 40}
INT64, FLOAT = 7, 1


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return size(number << 3) + size(value)
    data = value.encode() if isinstance(value, str) else value
    return size(number << 3 | 2) + size(len(data)) + data


def size(count: int) -> bytes:
    return bytes([count]) if count < 128 else bytes([count & 127 | 128, count >> 7])


def tensor(name: str, kind: int) -> bytes:
    shape = b"".join(field(1, field(2, dimension)) for dimension in ("rows", "columns"))
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def model(*, inputs: tuple[str, ...] = ("input_ids",), reduce: str = "ReduceMean") -> bytes:
    """ONNX: Cast(input_ids) to floats, and one number of them; other inputs are unused."""
    to_float = field(1, "to") + field(3, FLOAT) + field(20, 2)
    cast = field(1, "input_ids") + field(2, "x") + field(4, "Cast") + field(5, to_float)
    mean = field(1, "x") + field(2, "logits") + field(4, reduce)
    graph = field(1, cast) + field(1, mean) + field(2, "tiny")
    graph += b"".join(field(11, tensor(name, INT64)) for name in inputs)
    graph += field(12, tensor("logits", FLOAT))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def write(folder: Path, content: bytes | None = None) -> Path:
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.onnx").write_bytes(model() if content is None else content)
    return folder


async def test_each_pair_is_scored_by_the_model(tmp_path: Path) -> None:
    encoder = CrossEncoder(write(tmp_path))
    found = await encoder.scores("bad", ["good good", "bad", "", "fair"])
    means = [(2 + 1 + 80 + 1) / 5, (2 + 1 + 2 + 1) / 4, (2 + 1 + 1) / 3, (2 + 1 + 10 + 1) / 4]
    assert found == pytest.approx([1 / (1 + math.exp(-mean)) for mean in means])
    assert found[0] > found[3] > found[1] > found[2]
    assert await encoder.scores("bad", []) == []
    await encoder.close()


async def test_a_model_with_masks_and_types_is_given_them(tmp_path: Path) -> None:
    names = ("input_ids", "attention_mask", "token_type_ids")
    encoder = CrossEncoder(write(tmp_path, model(inputs=names)))
    assert len(await encoder.scores("q", ["good"])) == 1
    await encoder.close()


@pytest.mark.parametrize(
    "text", ["x " * 50_000, "good" * 50_000, "a\x00b", "\ud800", "漢字" * 9_000]
)
async def test_any_text_gets_a_score(tmp_path: Path, text: str) -> None:
    encoder = CrossEncoder(write(tmp_path))
    [question, found] = await encoder.scores(text, ["good", text])
    assert 0 <= question <= 1
    assert 0 <= found <= 1
    await encoder.close()


@pytest.mark.parametrize(
    "content", [b"", b"not a model", model(inputs=("input_ids", "pixels")), model(reduce="Relu")]
)
def test_what_is_no_cross_encoder_is_refused_at_the_start(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="RERANK_MODEL_PATH") as caught:
        CrossEncoder(write(tmp_path, content))
    assert str(tmp_path) not in caught.value.detail


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigurationError):
            CrossEncoder(folder)


async def test_a_closed_or_failing_model_says_so(tmp_path: Path) -> None:
    encoder = CrossEncoder(write(tmp_path))
    encoder._inputs = ["nothing"]
    with pytest.raises(RerankingFailed):
        await encoder.scores("q", ["good"])
    await encoder.close()
