"""Codebook: interface, parameters, and weights against the model while others are loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.model.codebook import decode_weights, pack_codebooks
from eieio.rtl.codebook import Codebook
from eieio.rtl.emit import emit, write
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import build, run

INPUTS = ["load_valid", "load_addr", "load_data", "book", "codes"]


def stimulus(dut: Codebook) -> tuple[list[list[int]], list[list[int] | None]]:
    """Draw `INPUTS` of each cycle; tell the weights, None while the codebooks are not loaded.

    First all weights are loaded, in any order. Then there are look-ups, while other weights are
    loaded anew.
    """
    rng = np.random.default_rng([dut.code_width, dut.books, dut.lanes])
    codes_of_book = 1 << dut.code_width
    bound = 1 << dut.weight_width - 1
    codebooks = rng.integers(-bound, bound, (dut.books, codes_of_book)).astype(np.int32)
    codebooks[:, 0] = 0
    codebooks[-1, -2:] = -bound, bound - 1
    words = pack_codebooks(list(codebooks), dut.code_width)
    inputs = [[1, addr, int(words[addr]), 0, 0] for addr in rng.permutation(words.size).tolist()]
    weights: list[list[int] | None] = [None] * words.size
    for _ in range(60 + 2 * words.size // dut.lanes):
        book = int(rng.integers(dut.books))
        codes = rng.integers(codes_of_book, size=dut.lanes).astype(np.uint8)
        weights.append(decode_weights(codes, codebooks[book]).tolist())
        addr, word = int(rng.integers(words.size)), int(rng.integers(-bound, bound))
        other = divmod(addr, codes_of_book)
        loads = other[1] != 0 and (other[0] != book or other[1] not in codes) and rng.random() < 0.5
        inputs.append([int(loads), addr, word & 0xFFFFFFFF, book, pack(codes, dut.code_width)])
        if loads:
            codebooks[other] = word
    return inputs, weights


def pack(values: Any, width: int) -> int:
    return sum((int(value) & (1 << width) - 1) << lane * width
               for lane, value in enumerate(values))


def test_members() -> None:
    assert dict(Codebook(4, 9, books=5, lanes=3).signature.members) == {
        "book": In(unsigned(3)),
        "codes": In(data.ArrayLayout(unsigned(4), 3)),
        "weights": Out(data.ArrayLayout(signed(9), 3)),
        "load_valid": In(1),
        "load_addr": In(unsigned(7)),
        "load_data": In(unsigned(32)),
    }


@pytest.mark.parametrize(("options", "message"), [
    ({"code_width": 0}, "Code width must be from 1 to 8, not 0"),
    ({"code_width": 9}, "Code width must be from 1 to 8, not 9"),
    ({"weight_width": 0}, "Weight width must be from 1 to 32, not 0"),
    ({"weight_width": 33}, "Weight width must be from 1 to 32, not 33"),
    ({"latency": 0}, "Latency must be from 1 to 2, not 0"),
    ({"latency": 3}, "Latency must be from 1 to 2, not 3"),
    ({"books": 0}, "Books must be at least 1, not 0"),
    ({"lanes": 0}, "Lanes must be at least 1, not 0"),
])
def test_wrong_parameters(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Codebook(**{"code_width": 4, "weight_width": 8, **options})


@pytest.mark.parametrize(("books", "lanes", "latency"), [(1, 4, 1), (3, 1, 2)])
@pytest.mark.parametrize(("code_width", "lut_ram"), [
    *((code_width, False) for code_width in range(2, 9)), (2, True), (4, True)])
def test_model(simulate: Callable[..., None], code_width: int, lut_ram: bool, books: int,
               lanes: int, latency: int) -> None:
    dut = Codebook(code_width, 2 * code_width + 2, books=books, lanes=lanes, latency=latency,
                   lut_ram=lut_ram)
    inputs, weights = stimulus(dut)
    seen: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for load_valid, load_addr, load_data, book, codes in [*inputs, [0] * 5]:
            ctx.set(dut.load_valid, load_valid)
            ctx.set(dut.load_addr, load_addr)
            ctx.set(dut.load_data, load_data)
            ctx.set(dut.book, book)
            ctx.set(dut.codes.as_value(), codes)
            *_, found = await ctx.tick().sample(dut.weights)
            seen.append([found[lane] for lane in range(lanes)])

    simulate(dut, bench)
    check(seen, weights, latency)


def check(seen: list[Any], weights: list[Any], latency: int) -> None:
    """Compare what was seen with the weights, which come `latency` cycles later."""
    pairs = [(found, weight) for found, weight in zip(seen[latency:], weights, strict=False)
             if weight is not None]
    assert len(pairs) >= 60
    assert all(found == weight for found, weight in pairs)


def test_memories() -> None:
    """Small codebooks are LUT RAM, but on an iCE40, which has none."""
    for family, memory in (("ecp5", 'ram_style = "distributed"'), ("ice40", "no_rw_check")):
        text = emit(Codebook(4, 8, latency=1, lut_ram=True), "codebook", header="", family=family)
        assert memory in "".join(text.values())


def test_verilog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent / "systolic")
    dut = Codebook(4, 8, books=2, lanes=3)
    inputs, weights = stimulus(dut)
    save_case(tmp_path, {}, inputs=INPUTS, outputs=["weights"],
              words=[[hex(word) for word in words] for words in [*inputs, [0] * 5]])
    built = build(write(emit(dut, "codebook", header=""), tmp_path), "codebook",
                  quick=True)
    run(built, "bench_ports", environment=case_environment(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    check([int(word, 16) for word, in seen],
          [None if lane is None else pack(lane, 8) for lane in weights], dut.latency)
