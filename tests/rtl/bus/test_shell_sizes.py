"""Shells around engines that take long for an image, as those of many PEs do.

``benchmarks/host_driver.py`` runs large engines themselves; to build one takes minutes.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from eieio.model import registers
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse import engine
from eieio.rtl.systolic.engine import SystolicEngine
from eieio.sim.shell_session import build_shell
from eieio.sim.sparse.session import CONFIG, small_session
from eieio.sim.systolic.session import CONFIG as SYSTOLIC_CONFIG

#: The longest chain that there can be, of 256 PEs.
LONGEST = -(-256 // engine.NEAR_PES)


@pytest.mark.long
def test_images_of_an_engine_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images load, one after the other, and bad ones give their errors."""
    # Two and a half times as long as of 256 PEs.
    monkeypatch.setattr(engine, "_LOAD_LATENCY", 10 + 5 * LONGEST // 2)
    s = small_session(config=replace(CONFIG, pes=1))
    for network in (0, 1, 0):
        s.use(network)
    s.send_image(s.frames[1][:-3])
    s.error(registers.ShellError.FRAME_SHORT, loaded=False)
    s.use(1)
    s.read(registers.ERROR, 0)
    s.run(build_shell(s.config), tmp_path)


def test_engines_say_when_they_load() -> None:
    """The shell waits for what engines say, so both must say it."""
    for component in (engine.SparseEngine(SparseConfig(pes=256)), SystolicEngine(SYSTOLIC_CONFIG)):
        for name in ("receiving", "waiting", "loading", "loaded"):
            assert name in component.signature.members
