"""The shell around a small DaDianNao engine: whatever comes, the next inference is right."""

from pathlib import Path

import numpy as np
import pytest
from dadiannao_networks import Builder

from eieio.model.dadiannao.compiler import compile_graph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Target
from eieio.model.dadiannao.prepared import DaDianNaoCompiled
from eieio.model.graph.quantized_graph import Window
from eieio.sim.bad_transactions import SAMPLES, BadTransactions
from eieio.sim.shell_session import ShellSession, Traffic, build_shell, traffic

CONFIG = DaDianNaoConfig(tiles=2, inputs=2, outputs=2, sb_depth=64, nbin_depth=4, nbout_depth=4,
                         central_depth=64, program_depth=8, parameter_depth=32,
                         activation_width=9, weight_width=8)


def networks() -> list[Traffic]:
    """Make an image's network and a vector's, whose outputs fill their words."""
    image = Builder((3, 4, 2), 1)
    image.conv(4, Window((2, 2)))
    image.dense(6)
    vector = Builder((12,), 2)
    vector.dense(8)
    found = []
    for builder in (image, vector):
        compiled = DaDianNaoCompiled(compile_graph(builder.graph, CONFIG))
        found.append(traffic(compiled, compiled.quantize(compiled.random_inputs(SAMPLES))))
    return found


@pytest.mark.long
def test_bad_transactions(tmp_path: Path) -> None:
    targets = {**Target.__members__, "BIASES": Target.PARAMETERS}
    session = ShellSession(CONFIG, networks(), targets, CONFIG.tiles)
    transactions = BadTransactions(session, 0)
    transactions.add(26)
    assert set(transactions.counts.values()) == {1}
    session.run(build_shell(CONFIG, initial_values=False), tmp_path, stall=0.2)


def test_networks_have_counters_of_their_own() -> None:
    counters = [each.counters[0] for each in networks()]
    assert counters[0] != counters[1]
    assert np.all([all(each.stalls[1:3]) for each in counters])
