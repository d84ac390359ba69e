"""Area model: against what was synthesized, and against arithmetic."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eieio.model.area import AreaUnknownError, Resources, counted, estimate
from eieio.model.area_memory import (
    Family,
    Memory,
    block_rams,
    multipliers,
    product,
    requantize_multipliers,
)
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.eyeriss.config import CHIP, EyerissConfig
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig

CONFIGS: dict[str, type[EngineConfig]] = {"sparse": SparseConfig, "systolic": SystolicConfig,
                                          "eyeriss": EyerissConfig}
RECORDS = json.loads(
    (Path(__file__).parents[2] / "benchmarks" / "area.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: (
    f"{record['board']}-{record['engine']}-{record['lut']}"))
def test_is_near_to_synthesis(record: dict[str, Any]) -> None:
    area = estimate(CONFIGS[record["engine"]].from_dict(record["config"]), record["family"])
    assert area.lut == pytest.approx(record["lut"], rel=0.15)
    assert area.ff == pytest.approx(record["ff"], rel=0.15)
    assert area.dsp == record["dsp"]
    assert area.bram == record["bram"]


@pytest.mark.parametrize(("memory", "ecp5", "ice40", "gowin"), [
    (Memory(1, 9, 2048, "block"), 1, 5, 1),
    (Memory(2, 18, 1025, "block"), 4, 18, 4),
    (Memory(1, 36, 512, "block"), 1, 5, 1),
    (Memory(1, 32, 32, "any"), 0, 2, 0),
    (Memory(1, 32, 128, "any"), 1, 2, 1),
    (Memory(4, 32, 16, "lut"), 0, 8, 0),
    (Memory(4, 32, 16, "async"), 0, 0, 0),
    # A vendor's cells are never behind one another, and are taken however little there is to store.
    (Memory(1, 9, 4096, "cell"), 3, 10, 2),
    (Memory(1, 32, 16, "cell"), 1, 2, 0),
    (Memory(1, 3, 8, "cell"), 1, 0, 0),
    (Memory(1, 9, 32768, "cell"), 16, 80, 16),
    (Memory(2, 9, 1024, "pair"), 1, 6, 2),
    (Memory(2, 9, 1025, "pair"), 2, 10, 2),
    (Memory(4, 10, 512, "pair"), 2, 8, 4),
    (Memory(2, 18, 513, "pair"), 2, 10, 2),
])
def test_block_rams(memory: Memory, ecp5: int, ice40: int, gowin: int) -> None:
    families: tuple[Family, ...] = ("ecp5", "ice40", "gowin")
    assert [block_rams(memory, family) for family in families] == [ecp5, ice40, gowin]


@pytest.mark.parametrize(("family", "width", "depth", "synthesized"), [
    ("ecp5", 32, 23232, 48), ("ecp5", 9, 20002, 10), ("ecp5", 36, 20000, 40),
    ("ecp5", 16, 17000, 17), ("ecp5", 8, 23232, 12), ("ecp5", 18, 33000, 34),
    ("gowin", 32, 1100, 3), ("gowin", 9, 1500, 1), ("gowin", 8, 5000, 3), ("gowin", 36, 2600, 6),
    ("gowin", 16, 5100, 5), ("ice40", 16, 700, 3), ("ice40", 32, 2100, 18),
])
def test_block_rams_of_other_depths(family: Family, width: int, depth: int, synthesized: int
                                    ) -> None:
    """What Yosys 0.70 made of ``add_block_ram`` by itself."""
    assert block_rams(Memory(1, width, depth, "cell"), family) == synthesized


@pytest.mark.parametrize(("width", "ecp5", "ice40", "gowin"), [
    (16, 2, 2, 2), (18, 2, 5, 2), (20, 4, 4, 4), (24, 4, 4, 4), (32, 4, 4, 4), (40, 6, 6, 6)])
def test_multipliers_of_requantization(width: int, ecp5: int, ice40: int, gowin: int) -> None:
    families: tuple[Family, ...] = ("ecp5", "ice40", "gowin")
    assert [requantize_multipliers(width, family) for family in families] == [ecp5, ice40, gowin]


def test_multipliers_of_products() -> None:
    assert [product(8, 8, family) for family in ("ecp5", "ice40", "gowin")] == [1, 1, 0.5]
    assert [product(18, 18, family) for family in ("ecp5", "ice40", "gowin")] == [1, 3, 1]
    assert [multipliers(count) for count in (3.0, 3.5, 0.0)] == [3, 4, 0]


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


def test_knows_the_systolic_engine_for_lenet_5() -> None:
    config = SystolicConfig(rows=12, columns=12, lanes=2, product_stages=3, residual=False,
                            activation_depth=2048, weight_depth=8192, parameter_depth=256,
                            program_depth=16)
    area = estimate(config, "ecp5")
    assert (area.dsp, area.bram) == (152, 92)
    residual = estimate(replace(config, residual=True), "ecp5")
    assert residual.dsp == 152 + 2 * 8
    assert residual.bram == 92
    # Two products take a multiplier, and requantization takes none.
    pairs = replace(config, products_per_multiplier=2)
    assert estimate(pairs, "ecp5").dsp == 72 + 8
    few = replace(pairs, requantize_multipliers="lut", residual=True)
    assert (estimate(few, "ecp5").dsp, counted(few, "gowin").dsp) == (72, 72)
    # Weights take 48 block RAMs, and codebooks of all layers one; look-ups in LUT RAM or block RAM.
    codes, bytes_ = (estimate(replace(config, code_width=width), "ecp5") for width in (4, 8))
    assert (codes.bram, codes.lut > area.lut) == (92 - 24 + 1, True)
    assert (bytes_.bram, bytes_.lut) == (92 + 12, area.lut)


class _Other(EngineConfig):
    pass


@pytest.mark.parametrize(("change", "dsp", "bram"), [
    # A PE multiplies, and has two block RAMs for its weights; a bank two words of a line in each.
    ({}, 168 + 2, 168 * 2 + 25 * 2 + 3),
    ({"psum_width": 32}, 168 + 4, 168 * 2 + 25 * 4 + 3),
    ({"filter_words": 64}, 168 + 2, 25 * 2 + 3),
])
def test_knows_the_row_stationary_array(change: dict[str, int], dsp: int, bram: int) -> None:
    area = estimate(replace(CHIP, **change), "ecp5")
    assert (area.dsp, area.bram) == (dsp, bram)


@pytest.mark.parametrize(("config", "family", "message"), [
    (CHIP, "gowin", (r"^Area of the eyeriss engine must be asked for an ECP5, for which alone it "
                     r"was measured$")),
    (_Other(), "ecp5", r"^Area of _Other must be modelled before it is asked for$"),
    (SystolicConfig.for_winograd(2), "gowin", (
        r"^Area of a systolic engine must be asked for without winograd on gowin, where its "
        r"transforms were not measured$")),
    *((SystolicConfig.from_dict(options), "ice40", (
        rf"^Area of a systolic engine must be asked for without {name} on ice40, where {what} was "
        r"not measured$")) for options, name, what in (
            ({"depthwise_lanes": 1}, "depthwise_lanes", "the depthwise unit"),
            ({"products_per_multiplier": 2}, "products_per_multiplier", "a pair of products"),
            ({"requantize_multipliers": "lut"}, "requantize_multipliers=lut",
             "a multiplier of logic"))),
])
def test_refuses_what_it_does_not_know(config: EngineConfig, family: Family, message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimate(config, family)


def test_counts_where_logic_is_unknown() -> None:
    """Multipliers and block RAMs follow from the configuration, whatever is known of the rest."""
    config = SystolicConfig.for_winograd(2, rows=4, columns=4)
    whole = estimate(config, "ecp5")
    found = counted(config, "ecp5")
    assert (found.dsp, found.bram) == (whole.dsp, whole.bram)
    assert (found.lut, found.ff) == (0, 0)
    with pytest.raises(AreaUnknownError):
        estimate(config, "ice40")
    assert counted(config, "ice40").bram > 0
