"""Synapse buffer: interface, and rows against a dictionary of columns."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.dadiannao.synapse_buffer import SynapseBuffer

#: Four columns, two banks.
BANKS = DaDianNaoConfig(inputs=4, outputs=4, sb_banks=2, sb_depth=8, weight_width=8)
#: A column that is not full, in a depth that is no power of two.
NARROW = DaDianNaoConfig(inputs=2, outputs=1, sb_banks=1, sb_depth=5, weight_width=8)
ONE_COLUMN = DaDianNaoConfig(inputs=2, outputs=2, sb_banks=4, sb_depth=2, weight_width=8)
WIDE = DaDianNaoConfig(inputs=2, outputs=2, sb_banks=1, sb_depth=6, weight_width=16)


def test_members() -> None:
    dut = SynapseBuffer(BANKS)
    assert dict(dut.signature.members) == {
        "write_valid": In(1), "write_addr": In(unsigned(6)), "write_data": In(unsigned(32)),
        "read_addr": In(unsigned(4)), "row": Out(unsigned(128))}
    assert dut.latency == 2


@pytest.mark.parametrize("config", [BANKS, NARROW, ONE_COLUMN, WIDE],
                         ids=["banks", "narrow", "one column", "wide"])
@pytest.mark.parametrize("writing", [0.5, 1.0])
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig, writing: float) -> None:
    """Columns are written in any order beside reads; a row comes two cycles after its address."""
    rng = Random(writing)
    check(simulate, config, rng, [(rng.random() < writing, rng.randrange(1 << 20))
                                  for _ in range(300)])


def test_fill_and_read(simulate: Callable[..., None]) -> None:
    """Each column of each row once, nothing beside it."""
    check(simulate, BANKS, Random(1), [(True, addr) for addr in range(64)]
          + [(False, 0)] * 40)


def check(simulate: Callable[..., None], config: DaDianNaoConfig, rng: Random,
          writes: list[tuple[bool, int]]) -> None:
    """Write columns by their numbers, and read a row in each cycle."""
    dut, reset = SynapseBuffer(config), Signal()
    bits = config.inputs * config.outputs * config.weight_width
    columns = max(1, bits // 32)
    held: dict[int, int] = {}
    expected: list[dict[int, int]] = []  # by column of the row, without those that are not known

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for cycle, (valid, number) in enumerate(writes):
            place, word = number % (config.sb_rows * columns), rng.getrandbits(32)
            row = cycle * 7 % config.sb_rows if rng.random() < 0.5 else rng.randrange(
                config.sb_rows)
            # Reset does not touch what is held, or is on its way.
            ctx.set(reset, config.sb_banks == 1 and cycle % 50 == 49)
            seen = await ports.cycle(write_valid=valid, write_addr=place, write_data=word,
                                     read_addr=row)
            if len(expected) > 1:
                for column, known in expected[-2].items():
                    assert seen["row"] >> 32 * column & ((1 << 32) - 1) == known, (cycle, column)
            # What is written in the cycle of its address is undefined.
            expected.append({column: held[row * columns + column] for column in range(columns)
                             if row * columns + column in held
                             and not (valid and row * columns + column == place)})
            if valid:
                held[place] = word & ((1 << min(32, bits)) - 1)
        assert sum(map(len, expected)) > 50

    simulate(dut, bench, reset=reset)
