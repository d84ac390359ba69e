"""cocotb bench of the tests of the runner: its only test does not run."""

from typing import Any

import cocotb


@cocotb.test(skip=True)
async def test_skipped(dut: Any) -> None:
    raise AssertionError
