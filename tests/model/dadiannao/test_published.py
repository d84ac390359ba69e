"""What was published of the DaDianNao node follows from the compiler and the cycle model."""

import pytest

from eieio.model.dadiannao.config import NODE
from eieio.model.dadiannao.published import (
    CONVOLUTIONS,
    TABLE_V,
    Convolution,
    compile_convolution,
    compile_dense,
    listing,
    nfu_cycles,
)
from eieio.model.dadiannao.timing import time_graph


def test_node() -> None:
    """16 tiles of 2 MB in 4 banks of 1,024 rows of 4,096 bits; a central buffer of 4 MB."""
    assert (NODE.tiles, NODE.inputs, NODE.outputs, NODE.clock_mhz) == (16, 16, 16, 606)
    assert (NODE.sb_banks, NODE.sb_depth, NODE.sb_row_bits) == (4, 1024, 4096)
    assert NODE.sb_rows * NODE.sb_row_bits == 2 << 23
    assert NODE.central_depth * NODE.inputs * NODE.activation_width == 4 << 23


def test_program_on_four_nodes() -> None:
    """That of table V: four instructions of 256 rows, and 1,024 cycles a node."""
    compiled = compile_dense(4096, 4096, 4)
    for node, program in enumerate(compiled.layers[0].programs):
        shown = [listing(each) for each in program if not each.forward]
        assert [(each["sb_read"]["addr"], each["sb_read"]["iterations"]) for each in shown] == [
            (0, 256), (256, 256), (512, 256), (768, 256)]
        assert [tuple(each["central_read"].values()) for each in shown] == [
            (0, 0, 64), (64, 0, 64), (128, 0, 64), (192, 0, 64)]
        assert [each["central_write"] for each in shown] == [
            None, None, None, {"addr": 256 + 64 * node, "stride": 4, "iterations": 64}]
        assert [each["nbout_read"] is None for each in shown] == [True, False, False, False]
    assert nfu_cycles(compiled) == 1024
    assert compiled.synapses.shape[2] == 1024
    assert [each["central_read"] for each in TABLE_V] == [(0, 0, 64), (64, 0, 64), (128, 0, 64),
                                                          (192, 0, 64)]


def test_one_node_holds_all_weights() -> None:
    compiled = compile_dense(4096, 4096, 1)
    assert nfu_cycles(compiled) == compiled.synapses.shape[2] == NODE.sb_rows == 4096
    assert round(NODE.clock_mhz * 1e6 / nfu_cycles(compiled)) == 147949
    assert 4096 < time_graph(compiled).cycles < 1.03 * 4096


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
def test_convolutions(layer: Convolution) -> None:
    published = layer.kernel ** 2 * -(-layer.inputs // 16) * -(-layer.outputs // 256)
    compiled = compile_convolution(layer, 5)
    assert nfu_cycles(compiled) == 5 * published == 5 * layer.pixel_cycles
