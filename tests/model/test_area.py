"""Area model: against what was synthesized, and against arithmetic."""

import json
from pathlib import Path
from typing import Any

import pytest

from eieio.model.area import Memory, Resources, block_rams, estimate
from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig

RECORDS = json.loads(
    (Path(__file__).parents[2] / "benchmarks" / "area.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['board']}-{record['lut']}")
def test_is_near_to_synthesis(record: dict[str, Any]) -> None:
    area = estimate(SparseConfig(**record["config"]), record["family"])
    assert area.lut == pytest.approx(record["lut"], rel=0.15)
    assert area.ff == pytest.approx(record["ff"], rel=0.15)
    assert area.dsp == record["dsp"]
    assert area.bram == record["bram"]


@pytest.mark.parametrize(("memory", "ecp5", "ice40"), [
    (Memory(1, 9, 2048, "block"), 1, 5),
    (Memory(2, 18, 1025, "block"), 4, 18),
    (Memory(1, 36, 512, "block"), 1, 5),
    (Memory(1, 32, 32, "any"), 0, 2),
    (Memory(1, 32, 128, "any"), 1, 2),
    (Memory(4, 32, 16, "lut"), 0, 8),
    (Memory(4, 32, 16, "async"), 0, 0),
])
def test_block_rams(memory: Memory, ecp5: int, ice40: int) -> None:
    assert (block_rams(memory, "ecp5"), block_rams(memory, "ice40")) == (ecp5, ice40)


def test_more_takes_more() -> None:
    small = estimate(SparseConfig(pes=4), "ecp5")
    options: dict[str, Any]
    for options in ({"pes": 8}, {"pes": 4, "accumulator_width": 40},
                    {"pes": 4, "column_groups": 4}, {"pes": 4, "entry_depth": 1 << 16}):
        large = estimate(SparseConfig(**options), "ecp5")
        assert large.lut > small.lut
        assert large.ff > small.ff


def test_says_what_is_beyond() -> None:
    capacity = Resources(1000, 1000, 10, 10)
    assert Resources(850, 1000, 10, 10).beyond(capacity) == []
    assert Resources(851, 1001, 10, 20).beyond(capacity) == [
        "851 of 1,000 lookup tables", "1,001 of 1,000 flip-flops", "20 of 10 block RAMs"]


def test_refuses_an_engine_that_it_does_not_know() -> None:
    with pytest.raises(InputError, match=r"^Area of SystolicConfig must be modelled before"):
        estimate(SystolicConfig(), "ecp5")
