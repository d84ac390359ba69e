"""Node: programs drawn at random against an interpreter of their instructions, to the cycle."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from dadiannao_loops import encode, steps, taken_words
from dadiannao_stage import Stage
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage1, Stage2, Stage3, Target
from eieio.model.dadiannao.timing import instruction_counts, time_program
from eieio.rtl.dadiannao.node import Node

RING = DaDianNaoConfig(tiles=2, inputs=4, outputs=2, sb_depth=32, nbin_depth=4, nbout_depth=4,
                       central_depth=32, program_depth=6, parameter_depth=16, activation_width=9,
                       weight_width=8, sum_width=32, additions=True, functions=True, nodes=2)
ALONE = DaDianNaoConfig(tiles=1, inputs=2, outputs=2, sb_banks=2, sb_depth=16, nbin_depth=2,
                        nbout_depth=2, central_depth=64, program_depth=6, parameter_depth=9,
                        activation_width=8, weight_width=8, sum_width=24)
CONFIGS = {"ring": RING, "alone": ALONE}


def test_members() -> None:
    members = dict(Node(RING).signature.members)
    assert members == {
        "load_valid": In(1), "load_target": In(unsigned(4)), "load_unit": In(unsigned(16)),
        "load_addr": In(unsigned(32)), "load_data": In(unsigned(32)), "count": In(range(7)),
        "begin": In(1), "finished": Out(1), "put_valid": In(1), "put_addr": In(unsigned(6)),
        "put_data": In(unsigned(18)), "get": In(1), "get_addr": In(unsigned(6)),
        "got": Out(unsigned(18)), "link_i_valid": In(1), "link_i_data": In(unsigned(18)),
        "link_i_ready": Out(1), "link_o_valid": Out(1), "link_o_data": Out(unsigned(18)),
        "link_o_ready": In(1), "macs": Out(unsigned(48)),
        **{name: Out(unsigned(32)) for name in (
            "nbout_stalls", "central_reads", "central_writes", "nbin_reads")},
        "instruction_done": Out(1), "word_valid": Out(1), "word_addr": Out(unsigned(6)),
        "word_data": Out(unsigned(18))}


class Interpreter:
    """What is in a node's memories, and what an instruction makes of it."""

    def __init__(self, config: DaDianNaoConfig, rng: Random) -> None:
        self.config = config
        self.stage = Stage(config)
        self.parameters = self.stage.load(rng)
        half = 1 << config.weight_width - 1
        self.synapses = [[[rng.randrange(-half, half)
                           for _ in range(config.inputs * config.outputs)]
                          for _ in range(config.sb_rows)] for _ in range(config.tiles)]
        width = config.outputs * config.activation_width
        self.central = [rng.getrandbits(width) for _ in range(config.central_words)]
        self.nbout: dict[tuple[int, int], list[int]] = {}

    def numbers(self, addr: int, count: int) -> list[int]:
        """Return the numbers of words that follow one another."""
        width, lanes = self.config.activation_width, self.config.outputs
        half = 1 << width - 1
        return [((self.central[addr + place // lanes] >> width * (place % lanes)) + half)
                % (2 * half) - half for place in range(count)]

    def run(self, one: Instruction, received: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Run an instruction; return address and data of each word that it writes."""
        config = self.config
        if one.forward:
            written = [(one.write_addr + number, word) for number, word in enumerate(received)
                       if one.receive]
        else:
            before = list(self.central)
            self._sums(one)
            written = []
            for taken in taken_words(one, tiles=config.tiles):
                sums = ([0] * config.outputs if one.from_adder else
                        self.taken[taken.tile, taken.group])
                word = self.stage.word(one, taken.parameter_addr, taken.word, sums)
                if word is not None:
                    written.append((taken.addr, word))
            assert self.central == before
        for addr, word in written:
            self.central[addr] = word
        return written

    def _sums(self, one: Instruction) -> None:
        """Let the tiles compute the sums of all groups."""
        config = self.config
        kept: list[list[int]] = []
        self.taken: dict[tuple[int, int], list[int]] = {}
        outside = -(1 << config.activation_width - 1) if one.stage2 == Stage2.MAXIMUM else 0
        for step in steps(one, tiles=config.tiles, row_words=config.row_words):
            group = step.pixel * one.groups + step.group
            place = group % config.nbout_depth
            row_addr = step.addr - step.addr % config.row_words
            row = self.numbers(row_addr, config.inputs) if step.inside else [0] * config.inputs
            if one.keep and step.group:
                row = kept[step.number]
            elif one.keep:
                kept[step.number:] = [row]
            word = (self.numbers(step.addr, config.outputs) if step.inside
                    else [outside] * config.outputs)
            for tile in range(config.tiles):
                if one.across and tile != step.group % config.tiles:
                    continue
                terms = word
                if one.stage1 == Stage1.MULTIPLY:
                    weights = self.synapses[tile][step.sb_row]
                    terms = [sum(weights[lane * config.inputs + i] * x
                                 for i, x in enumerate(row)) for lane in range(config.outputs)]
                start = self.nbout[tile, place] if one.resume else [0] * config.outputs
                total = start if step.first else self.nbout[tile, place]
                if one.stage2 == Stage2.MAXIMUM:
                    total = terms if step.first else list(map(max, total, terms))
                else:
                    total = [a + b for a, b in zip(total, terms, strict=True)]
                self.nbout[tile, place] = total
                if step.last:
                    self.taken[tile, group] = total


def random_program(rng: Random, config: DaDianNaoConfig) -> list[Instruction]:
    """Draw a program that reads the lower half of the central buffer, and writes the upper one."""
    program: list[Instruction] = []
    while len(program) < config.program_depth:
        kind = rng.choice(("one", "one", "resumed", "added", "forward"))
        if kind == "forward" and config.nodes > 1:
            words = rng.randint(1, 9)
            program.append(Instruction(
                forward=True, receive=rng.random() < 0.8, groups=words, read_stride=1,
                read_addr=rng.randrange(8), write_addr=config.central_words // 2 + 3))
        elif kind == "resumed" and len(program) + 2 <= config.program_depth:
            groups = rng.randint(1, config.nbout_depth)
            first = random_instruction(rng, config, groups, across=False)
            program += [replace(first, stage3=Stage3.NONE, stage2=Stage2.ADD),
                        replace(first, resume=True, stage2=Stage2.ADD)]
            # Each word of NBout is resumed once.
            program[-2:] = [replace(one, x=1, y=1, iterations=1) for one in program[-2:]]
        elif (kind == "added" and config.additions and len(program) + 3 <= config.program_depth):
            words = rng.randint(1, config.nbout_depth)
            for stage3 in (Stage3.KEEP, Stage3.ADD):
                program.append(replace(
                    random_instruction(rng, config, words, across=True), stage3=stage3,
                    iterations=1, x=1, y=1, words=words, minimum=-1000, maximum=2000))
            program.append(replace(program[-1], stage3=Stage3.REQUANTIZE, from_adder=True,
                                   minimum=-200, maximum=255))
        elif kind == "one":
            program.append(random_instruction(rng, config, rng.randint(1, 4)))
    return program


def random_instruction(rng: Random, config: DaDianNaoConfig, groups: int, *,
                       across: bool | None = None) -> Instruction:
    """Draw an instruction with so many groups whose addresses are in the halves of the memory."""
    across = rng.random() < 0.4 if across is None else across
    multiplies = rng.random() < 0.6
    while True:
        sizes: dict[str, Any] = {name: rng.choice((1, 1, 2, 3)) for name in (
            "depth", "kernel_x", "kernel_y", "x", "y")}
        one = Instruction(
            stage1=Stage1.MULTIPLY if multiplies else Stage1.PASS,
            stage2=Stage2.ADD if multiplies else rng.choice(list(Stage2)),
            stage3=rng.choice((Stage3.REQUANTIZE, *[Stage3.SIGMOID, Stage3.TANH]
                               * config.functions)),
            across=across, groups=groups, words=groups if across else rng.randint(
                groups, groups * config.tiles), write_stride=groups,
            read_addr=rng.randrange(5), read_stride=rng.choice((0, 1)),
            kernel_x_step=rng.randrange(3), kernel_y_step=rng.randrange(3),
            x_step=rng.randrange(3), y_step=rng.randrange(4), origin_x=rng.randint(-2, 1),
            origin_y=rng.randint(-2, 1), width=rng.randint(1, 5), height=rng.randint(1, 5),
            stride_x=rng.randint(1, 2), stride_y=rng.randint(1, 2),
            sb_addr=rng.randrange(4), write_addr=config.central_words // 2,
            parameter_addr=rng.randrange(3), parameter_step=rng.random() < 0.5,
            minimum=rng.choice((-128, -20)), maximum=rng.choice((127, 9)),
            zero_point=rng.randint(-5, 5), table_shift=rng.choice((0, 9, 17)),
            single_rounding=rng.random() < 0.5, iterations=sizes["x"] * sizes["y"], **sizes)
        one = replace(one, pixel_stride=one.words)
        rows = -(-groups // config.tiles) if across else groups
        if (one.steps <= 60 and one.sb_addr + one.group_steps * rows <= config.sb_rows
                and one.iterations * one.words <= config.central_words // 2
                and max(step.addr for step in steps(one, tiles=1, row_words=config.row_words))
                < config.central_words // 2 - config.row_words):
            return replace(one, keep=rng.random() < 0.4 and one.group_steps <= config.nbin_depth)


class Bench:
    """A node in a ring with itself."""

    def __init__(self, ctx: Any, dut: Node, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: DaDianNaoConfig = dut.config
        self.rng = rng
        self.model = Interpreter(self.config, rng)

    async def load(self) -> None:
        """Write all memories but the program; what is for other units touches nothing."""
        config, model, ports = self.config, self.model, self.ports
        for name, addr, word in model.parameters:
            target = Target.PARAMETERS if name == "load_parameter" else Target.TABLE
            if config.functions or target == Target.PARAMETERS:
                await ports.cycle(load_valid=1, load_target=target, load_addr=addr, load_data=word)
        columns = -(-config.sb_row_bits // 32)
        for tile, rows in enumerate(model.synapses):
            for row, weights in enumerate(rows):
                word = sum((weight & ((1 << config.weight_width) - 1))
                           << config.weight_width * place for place, weight in enumerate(weights))
                for column in range(columns):
                    await ports.cycle(load_target=Target.SYNAPSES, load_unit=tile, load_valid=1,
                                      load_addr=row * columns + column,
                                      load_data=word >> 32 * column & 0xFFFFFFFF)
        await ports.cycle(load_unit=config.tiles, load_addr=0, load_data=0)
        await ports.cycle(load_target=Target.PORTS, load_unit=0)
        await ports.cycle(load_target=Target.LAYERS, load_data=0xFFFFFFFF)
        await ports.cycle(load_valid=0, load_target=Target.PROGRAM)
        for addr, word in enumerate(model.central):
            await ports.cycle(put_valid=1, put_addr=addr, put_data=word)
        ports.set(put_valid=0)

    async def program(self, program: Sequence[Instruction]) -> None:
        """Write a program."""
        for number, one in enumerate(program):
            for place, word in enumerate(one.encode()):
                await self.ports.cycle(load_valid=1, load_target=Target.PROGRAM, load_unit=0,
                                       load_addr=20 * number + place, load_data=word)
        self.ports.set(load_valid=0)

    async def run(self, program: Sequence[Instruction], *, late: int = 0, stop: int = -1) -> None:
        """Run a program; compare all words, counters, and the cycles in which instructions end.

        With ``late``, words arrive so many cycles late, and permission to send them, too.
        """
        config, ports = self.config, self.ports
        ends = [timing.cycles for timing in time_program(config, program)]
        ends = [sum(ends[:number]) for number in range(1, len(ends) + 1)]
        sent: list[int] = []
        coming: list[tuple[int, int]] = [(0, 0)] * late
        ready = [0] * late
        seen: dict[str, int] = {}
        found: list[tuple[int, int]] = []
        finished: list[int] = []
        done: list[int] = []
        for cycle in range(ends[-1] + 40 * len(program) * late + 6):
            if cycle == stop:
                return
            coming.append((ports.get("link_o_valid"), ports.get("link_o_data")))
            ready.append(ports.get("link_i_ready"))
            valid, word = coming.pop(0)
            seen = await ports.cycle(
                begin=cycle == 0, count=len(program), link_i_valid=valid, link_i_data=word,
                link_o_ready=ready.pop(0), load_target=self.rng.randrange(6),
                load_addr=self.rng.randrange(64), load_data=self.rng.getrandbits(32),
                put_addr=self.rng.randrange(8), put_data=self.rng.getrandbits(8))
            if seen["link_o_valid"]:
                sent.append(seen["link_o_data"])
            if seen["word_valid"]:
                found.append((seen["word_addr"], seen["word_data"]))
            done += [cycle] * seen["instruction_done"]
            finished += [cycle] * seen["finished"]
            if late and finished and cycle > finished[-1] + 4:
                break
        expected: list[tuple[int, int]] = []
        links: list[int] = []
        for one in program:
            words: list[int] = []
            if one.forward:
                words = self.model.central[one.read_addr:one.read_addr + one.groups]
                links += words
            expected += self.model.run(one, words)
        assert sent == links
        assert found == expected
        assert len(done) == len(program)
        assert finished == [done[-1] + 1]
        if not late:
            first = done[0] - ends[0]
            assert [end - first for end in done] == ends
        for name, count in self.counts(program, seen["nbout_stalls"] if late else None).items():
            assert seen[name] == count, name

    def counts(self, program: Sequence[Instruction], stalls: int | None) -> dict[str, int]:
        """Return what is counted."""
        total = {"nbout_stalls": stalls if stalls is not None else sum(
            timing.causes["nbout"] for timing in time_program(self.config, program))}
        for one in program:
            for name, count in instruction_counts(self.config, one).items():
                total[name] = total.get(name, 0) + count
        return total

    async def read(self) -> None:
        """Read the whole central buffer, a word a cycle, each three cycles after its address."""
        words = self.model.central
        for cycle in range(len(words) + Node.read_latency):
            seen = await self.ports.cycle(get=1, get_addr=min(cycle, len(words) - 1))
            if cycle >= Node.read_latency:
                assert seen["got"] == words[cycle - Node.read_latency], cycle
        self.ports.set(get=0)


@pytest.mark.parametrize(("config", "seed"), [
    (RING, 0), (ALONE, 0), *(pytest.param(config, seed, marks=pytest.mark.long)
                             for config in (RING, ALONE) for seed in (1, 2, 3))])
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig, seed: int) -> None:
    dut, rng = Node(config), Random(seed)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        for _ in range(2):
            program = random_program(rng, config)
            await one.program(program)
            await one.run(program)
            await one.read()

    simulate(dut, bench)


def test_links_that_are_late(simulate: Callable[..., None]) -> None:
    """Words and permission come late; a node waits for its own words and for the next node."""
    dut, rng = Node(RING), Random(5)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        forward = Instruction(forward=True, receive=True, groups=5, read_stride=1, read_addr=2,
                              write_addr=40)
        other = random_instruction(rng, RING, 2)
        program = [forward, other, replace(forward, receive=False, groups=1),
                   replace(forward, write_addr=50)]
        await one.program(program)
        for late in (1, 30):
            await one.run(program, late=late)
        await one.read()

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """In the middle of instructions; the memories keep what they hold."""
    dut, rng, reset = Node(RING), Random(6), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load()
        program = [Instruction(stage1=Stage1.MULTIPLY, stage3=Stage3.REQUANTIZE, groups=4,
                               words=8, write_stride=4, write_addr=32, minimum=-9, maximum=9),
                   Instruction(forward=True, receive=True, groups=3, read_stride=1,
                               write_addr=60)]
        await one.program(program)
        for stop in (27, 36, 60):
            await one.run(program, stop=stop)
            ctx.set(reset, 1)
            await one.ports.cycle(begin=0, link_i_valid=0, link_o_ready=0)
            ctx.set(reset, 0)
            await one.run(program)
        await one.read()

    simulate(dut, bench, reset=reset)


def test_encoding() -> None:
    """What the benches put into the register is what the program's words say."""
    one = random_instruction(Random(0), RING, 3)
    assert encode(one) == int.from_bytes(b"".join(
        word.to_bytes(4, "little") for word in one.encode()), "little")
