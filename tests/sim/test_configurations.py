"""Options at their ends, in every pair: a slice of the benchmark that lints and runs them."""

from pathlib import Path

import pytest
from benchmark_modules import benchmark
from long_cases import long

from eieio.model.registry import engines, find_engine

#: The engine of short tests.
ENGINE = "sparse"


@pytest.mark.parametrize("engine", [ENGINE, *long(*(
    engine.name for engine in engines() if engine.name != ENGINE))])
def test_matrix(engine: str) -> None:
    """Every pair of ends is in a row, or refused in one line for a reason."""
    with benchmark("configurations") as configurations:
        found = find_engine(engine)
        matrix = configurations.Matrix(found, only_lint=True)
        ends = configurations.small_ends(found)
        assert set(ends) <= {option.name for option in found.options}
        pairs = {((a, x), (b, y)) for a in ends for b in ends if a < b
                 for x in ends[a] for y in ends[b]}
        covered = {pair for pair in pairs for row in matrix.rows
                   if all(row.get(name, ...) == value for name, value in pair)}
        refused = [dict(pair) for pair in matrix.refused]
        for pair in pairs - covered:
            assert any(single.items() <= dict(pair).items() for single in refused), pair
        assert len(covered) > len(pairs) * 2 // 3


@pytest.mark.long
@pytest.mark.parametrize("engine", [engine.name for engine in engines()])
def test_configuration(engine: str, tmp_path: Path) -> None:
    """One row of each engine's matrix."""
    with benchmark("configurations") as configurations:
        network = configurations.Matrix(find_engine(engine), most=1).networks[0]
        passed = configurations.Passed(tmp_path / "passed.json")
        assert configurations.check_row(network, passed).endswith("cycles")


@pytest.mark.parametrize("engine", [engine.name for engine in engines()])
def test_ends(engine: str) -> None:
    """Options have two ends or choices, and a row for each has no more than it needs beside it."""
    with benchmark("configurations") as configurations:
        found = find_engine(engine)
        ends = configurations.ends_of(found)
        assert {option.name for option in found.options} == set(ends)
        for name, values in ends.items():
            assert len(set(values)) > 1, name
            for value in values:
                row, reason = configurations.row_at_end(found, name, value, most=512)
                if row is None:
                    assert reason
                    continue
                config = found.make_config(row)
                assert value == 0 or getattr(config, name, value) == value
                assert len(row) == 1 or configurations.refusal(found, {name: value}) or any(
                    side in row for side in ("rows", "columns"))


@pytest.mark.parametrize(("engine", "end", "row", "reason"), [
    ("sparse", ("io_lanes", 256), {"io_lanes": 256, "pes": 256}, ""),
    ("systolic", ("columns", 256), {"columns": 256, "rows": 1}, ""),
    ("systolic", ("lanes", 256), None, "65536 processing elements"),
    ("mixed", ("rows", 256), {"rows": 256, "columns": 1}, ""),
    ("eyeriss", ("filter_words", 1), {"filter_words": 1, "bus_words": 1}, ""),
    ("tensor_core", ("products", 1), None, "Option products must be a power of two"),
])
def test_row_at_end(engine: str, end: tuple[str, int], row: dict[str, int] | None,
                    reason: str) -> None:
    with benchmark("configurations") as configurations:
        found, why = configurations.row_at_end(find_engine(engine), *end, most=512)
        assert found == row
        assert why.startswith(reason)
