"""Headers of GGUF files: ours and anybody's, whole and broken."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from convert.artifact import RewardProtocol, read_artifact
from convert.block_sizes import BLOCKS
from convert.gguf_artifact import artifact_from_gguf
from convert.gguf_header import read_header
from tests.convert.small_gguf import write_small


def test_block_sizes_are_those_of_the_gguf_package():
    known = {int(kind): tuple(sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    del known[9]  # q8_1, never in a file: the package counts its two float16 as float32
    assert {kind: BLOCKS[kind] for kind in known} == known


def test_tensors_and_values_are_those_of_the_gguf_package(reference):
    path = reference("policy", "q4_k_m")
    header, reader = read_header(path), gguf.GGUFReader(path)
    assert [(t.name, t.offset, t.size_bytes) for t in header.tensors] == [
        (t.name, t.data_offset, t.n_bytes) for t in reader.tensors
    ]
    assert [t.shape for t in header.tensors] == [
        tuple(reversed(t.shape.tolist())) for t in reader.tensors
    ]
    for key, value in header.values.items():
        expected = reader.fields[key].contents()
        assert value == (len(expected) if isinstance(expected, list) else expected)


def test_a_file_without_its_manifest_says_the_same(reference):
    for role in ("policy", "reward"):
        path = reference(role, "q8_0")
        manifest, alone = read_artifact(path), artifact_from_gguf(path)
        for field in ("role", "level", "shape", "prompt", "reward", "source", "bits_per_weight"):
            assert getattr(alone, field) == getattr(manifest, field)
        assert manifest.sha256.keys() == {path.name}


def test_a_file_that_is_not_ours(tmp_path):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_feed_forward_length(128)
    writer.add_context_length(32)
    writer.add_file_type(7)
    writer.add_token_list([f"t{i}" for i in range(20)])
    writer.add_tensor("token_embd.weight", np.zeros((20, 64), np.float16))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((64, 64), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = artifact_from_gguf(path)
    assert (found.role, found.level, found.architecture) == ("policy", "q8_0", "llama")
    assert (found.shape.kv_heads, found.shape.head_dim, found.shape.vocab) == (4, 16, 20)
    assert found.bits_per_weight == 16
    assert found.prompt is None


def test_what_is_no_gguf(tmp_path):
    path = tmp_path / "x.gguf"
    for content in (b"", b"GGU", b"PK\x03\x04 something", b"GGML" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x.gguf is not a GGUF file"):
            artifact_from_gguf(path)


@pytest.mark.parametrize("kept", [5, 20, 60, 1000, 20_000, 100_000, 2_000_000])
def test_a_file_cut_short(reference, tmp_path, kept):
    path = tmp_path / "cut.gguf"
    path.write_bytes(reference("policy", "q4_k_m").read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut.gguf is cut short"):
        artifact_from_gguf(path)


def test_damage_in_the_header_is_an_error_not_a_crash(reference, tmp_path):
    whole = reference("policy", "q2_k").read_bytes()
    path = tmp_path / "damaged.gguf"
    said = []
    for place in np.random.default_rng(0).integers(4, 3000, 200):
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        said.append(_complaint(path))
    assert 20 < said.count(None) < 180  # some bytes do not matter
    assert all("damaged.gguf" in text for text in said if text is not None)


def _complaint(path):
    try:
        artifact_from_gguf(path)
    except ValueError as error:
        return str(error)
    return None


def test_an_importance_matrix_is_no_model(tmp_path):
    path = tmp_path / "matrix.gguf"
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"matrix.gguf has no imatrix.embedding_length: not a"):
        artifact_from_gguf(path)


def test_a_reward_model_of_an_earlier_version(tmp_path):
    """Its steps stand as the policy wrote them: it says nothing of what is between."""
    said = {"kind": "value", "step_tag": "\n", "template": "{question}\n", "join": ""}
    keys = {f"starbase.reward.{key}": value for key, value in said.items()}
    path = write_small(tmp_path / "old.gguf", {"starbase.role": "reward"} | keys)
    assert artifact_from_gguf(path).reward == RewardProtocol(**said, between=None, after="")
