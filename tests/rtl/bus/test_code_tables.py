"""Code tables: descriptions of all kinds, and codes and symbols that are found in them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import pytest
from lockstep import Inputs, Outputs, lockstep

from eieio.model.coded_image import ALL_SYMBOLS, CODE_MAXIMUM
from eieio.rtl.bus.code_tables import CodeTables

IDLE = dict.fromkeys(["select", "byte_next", "advance", "begin", "count_valid", "symbol_valid"], 0)


@dataclass(frozen=True)
class Code:
    """A canonical code: how many have 1, 2, ... 16 bits, and the symbols in their order."""

    counts: tuple[int, ...]
    symbols: tuple[int, ...]

    def find(self, bits: int) -> tuple[int, int | None]:
        """Return length and symbol of the code that 16 bits begin with; 16 and None if none."""
        first = place = 0
        for length, count in enumerate(self.counts, 1):
            code = bits >> CODE_MAXIMUM - length
            if code < first + count:
                return length, self.symbols[place + code - first] if code >= first else None
            first, place = (first + count) << 1, place + count
        return CODE_MAXIMUM, None

    def bound(self, length: int) -> int:
        """Return the first 16 bits behind all codes of up to a length."""
        first = 0
        for count in self.counts[:length]:
            first = 2 * first + count
        return min(first << CODE_MAXIMUM - length, (1 << CODE_MAXIMUM) - 1)


def random_code(rng: Random, kind: str) -> Code:
    """Make a complete code of random depth, or one of few codes."""
    counts = [0] * CODE_MAXIMUM
    if kind == "single":
        counts[0] = 1
    elif kind == "bytes":
        counts[7] = 256
    elif kind == "deep":  # One code of each length, and two of the last.
        counts = [1] * (CODE_MAXIMUM - 1) + [2]
    elif kind != "none":
        leaves = [1, 1]
        for _ in range(rng.randint(0, 254)):
            split = rng.randrange(len(leaves))
            if leaves[split] < CODE_MAXIMUM:
                leaves[split] += 1
                leaves.append(leaves[split])
        for length in leaves:
            counts[length - 1] += 1
    return Code(tuple(counts), tuple(rng.sample(range(256), sum(counts))))


class Reference:
    """What has been described, and what is looked up."""

    def __init__(self) -> None:
        self.size = self.free = self.counted = 0
        self.wrong = False
        self.described = False
        self.single = 0
        self.chosen: Code | None = None
        self.bytes = False
        self.length = 0
        self.matched: int | None = None
        self.symbols: list[int | None] = [None] * CodeTables.latency
        self.following: Code | None = None

    def __call__(self, i: Inputs) -> Outputs:
        found: dict[str, int] = {}
        if self.described:
            found |= {"size": self.size % 512, "wrong": int(self.wrong)}
            if self.counted == CODE_MAXIMUM and not self.wrong:
                found["complete"] = int(self.free == 0 or self.size == 0
                                        or (self.size == 1 and self.single == 1))
        symbol = None
        if self.bytes:
            self.length = 8
            found["longer"] = (1 << 7) - 1
        elif self.chosen is not None:
            self.length, symbol = self.chosen.find(i["bits"])
            longer = (1 << self.length - 1) - 1
            if self.chosen.symbols:  # Of none, anything may be said, but that there was one.
                found["longer"] = longer
        if self.matched is not None:
            found["matched"] = self.matched
        if self.symbols[-1] is not None:
            found["symbol"] = self.symbols[-1]
        if i["advance"]:
            self.symbols = [symbol, *self.symbols[:-1]]
            known = self.chosen is not None and not self.bytes
            self.matched = int(symbol is not None) if known else None
        if i["select"]:
            self.chosen, self.bytes = self.following, False
        if i["byte_next"]:
            self.bytes = True
        elif self.bytes and i["select"]:
            self.bytes = False
        self._describe(i)
        return found

    def _describe(self, i: Inputs) -> None:
        if i["count_valid"]:
            count = 256 if i["byte"] == ALL_SYMBOLS else i["byte"]
            self.counted += 1
            if self.counted == 1:
                self.single = count
            self.size += count
            self.free = 2 * self.free - count
            self.wrong = self.wrong or self.free < 0 or self.size > 256
        if i["begin"]:
            self.size = self.counted = self.single = 0
            self.free, self.wrong, self.described = 1, False, True


def describe(rng: Random, table: int, code: Code, *, pause: float) -> Iterator[Inputs]:
    """Describe a table, with or without pauses."""
    def byte(value: int, **valid: int) -> Iterator[Inputs]:
        while rng.random() < pause:
            yield IDLE | {"table": table, "byte": rng.getrandbits(8), "bits": rng.getrandbits(16)}
        yield IDLE | {"table": table, "byte": value, "bits": rng.getrandbits(16), **valid}

    yield IDLE | {"table": table, "begin": 1, "bits": 0, "byte": rng.getrandbits(8)}
    for count in code.counts:
        yield from byte(min(count, ALL_SYMBOLS), count_valid=1)
    for symbol in code.symbols:
        yield from byte(symbol, symbol_valid=1)


def look_up(rng: Random, codes: list[Code], reference: Reference, count: int) -> Iterator[Inputs]:
    """Look up codes of all tables, one a cycle but for pauses; some are of none."""
    def cycle(table: int, **changes: int) -> Inputs:
        reference.following = codes[table]
        bound = (reference.chosen or codes[table]).bound(rng.randint(1, CODE_MAXIMUM))
        inputs = IDLE | {
            "next_table": table, "table": rng.randrange(len(codes)), "byte": rng.getrandbits(8),
            "bits": rng.choice([rng.getrandbits(16), 0, 65535, (1 << rng.randrange(17)) - 1, bound,
                                max(0, bound - 1)]),
            **changes}
        length = 8
        if not reference.bytes:
            length = reference.chosen.find(inputs["bits"])[0] if reference.chosen else 1
        return inputs | {"less_one": length - 1}

    yield cycle(0, select=1)
    for _ in range(count):
        table = rng.randrange(len(codes))
        if rng.random() < 0.1:
            yield cycle(table)
        elif rng.random() < 0.1:
            yield cycle(table, byte_next=1)
            yield cycle(table)
            yield cycle(table, select=1)
        else:
            yield cycle(table, select=1, advance=1)
    for _ in range(CodeTables.latency):
        yield cycle(0, advance=1)


@pytest.mark.parametrize("seed", range(2))
def test_three_tables(simulate: Callable[..., None], seed: int) -> None:
    """Each is found by its own description, also behind others."""
    rng = Random(seed)
    dut, reference = CodeTables(3), Reference()

    def cycles() -> Iterator[Inputs]:
        for kinds in (("", "", "deep"), ("bytes", "single", ""), ("deep", "none", "bytes")):
            codes = [random_code(rng, kind) for kind in kinds]
            for table, code in enumerate(codes):
                yield from describe(rng, table, code, pause=0.1 * seed)
            reference.chosen = None
            reference.symbols = [None] * CodeTables.latency  # Those under way are of others.
            yield IDLE
            yield from look_up(rng, codes, reference, 250)

    simulate(dut, lockstep(dut, cycles(), reference))


@pytest.mark.parametrize("tables", [1, 8])
def test_other_numbers(simulate: Callable[..., None], tables: int) -> None:
    rng = Random(tables)
    dut, reference = CodeTables(tables), Reference()

    def cycles() -> Iterator[Inputs]:
        codes = [random_code(rng, "deep" if table % 3 else "") for table in range(tables)]
        for table, code in enumerate(codes):
            yield from describe(rng, table, code, pause=0.0)
        yield IDLE
        yield from look_up(rng, codes, reference, 200)

    simulate(dut, lockstep(dut, cycles(), reference))


def test_wrong_descriptions(simulate: Callable[..., None]) -> None:
    """Too many codes of any length, too many of all, and codes that are not complete."""
    rng = Random(9)
    dut, reference = CodeTables(3), Reference()
    seen = set()

    def cycles() -> Iterator[Inputs]:
        for length in range(CODE_MAXIMUM):
            for more in (-1, 0, 1, 2):
                counts = [0] * CODE_MAXIMUM
                counts[length] = min(max(0, (2 << length) + more), ALL_SYMBOLS)
                yield from describe(rng, 1, Code(tuple(counts), ()), pause=0.0)
                yield IDLE
                seen.add((reference.wrong, reference.free == 0))
        for _ in range(30):
            counts = [rng.choice([0, 0, 1, 1, 2]) for _ in range(CODE_MAXIMUM)]
            counts[rng.randrange(9, CODE_MAXIMUM)] = rng.choice([200, 250, ALL_SYMBOLS])
            yield from describe(rng, 2, Code(tuple(counts), ()), pause=0.0)
            yield IDLE
            seen.add((reference.wrong, reference.free == 0))

    simulate(dut, lockstep(dut, cycles(), reference))
    assert seen == {(True, False), (False, False), (False, True)}
