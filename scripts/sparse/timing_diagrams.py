"""Timing diagrams of ``docs/timing``, recorded from simulations.

::

    python -m eieio.scripts.sparse.timing_diagrams docs/timing

writes a file for WaveDrom and its picture for each port. The engine is the smallest one: what is
shown holds for all.
"""

import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Signal, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eieio.model import registers
from eieio.model.registers import Interrupt
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.prepared import SparseCompiled
from eieio.rtl.bus.shell import Shell
from eieio.rtl.sparse.engine import SparseEngine
from eieio.scripts.vectors import Vectors, make_vectors
from eieio.scripts.waveform_svg import waveform_svg
from eieio.sim.axi_ports import AxiPorts
from eieio.sim.sparse.random_network import compile_random, random_network

__all__ = ["diagrams", "main"]

_CONFIG = SparseConfig(pes=1, queue_depth=2, entry_depth=32, pointer_depth=16, accumulator_depth=4,
                       activation_depth=4, output_depth=4, layer_depth=1)

_MAX_CYCLES = 2000

#: Longest run of cycles without a change that is shown; of a longer one, only the first cycle is.
_QUIET = 4

_Record = dict[str, list[int]]


def diagrams() -> dict[str, dict[str, Any]]:
    """Simulate, and return each diagram, as WaveDrom takes it, by name."""
    rng = np.random.default_rng(5)
    compiled = compile_random(random_network(_CONFIG, (3, 2), (0.8,), rng), _CONFIG, [1], "none",
                              rng)
    vectors = make_vectors(SparseCompiled(compiled), np.array([[3, 0, 5]]))
    return _shell_diagrams(vectors) | {"native": _native_diagram(compiled, vectors)}


def _beats(beats: np.ndarray) -> list[int]:
    return [int.from_bytes(beat.tobytes(), "little") for beat in beats]


def _shell_diagrams(vectors: Vectors) -> dict[str, dict[str, Any]]:
    shell = Shell(SparseEngine(_CONFIG), version="0.1.0")
    frame, beats = [int(word) for word in vectors.frame], _beats(vectors.inputs[0])
    times: dict[str, tuple[int, int]] = {}

    async def bench(ctx: Any, record: _Record) -> None:
        ports = AxiPorts(ctx, shell)

        async def scene(name: str, *steps: Coroutine[Any, Any, Any]) -> None:
            await ctx.tick().repeat(2)
            start = len(record["irq"]) - 1
            for step in steps:
                await step
            await ctx.tick()
            times[name] = start, len(record["irq"])

        await ctx.tick().repeat(4)
        enable = registers.INTERRUPT_ENABLE.address
        await scene("axil_write", ports.write(enable, Interrupt.INFERENCE_DONE))
        await scene("axil_write_read_only", ports.write(registers.ID.address, 1))
        await scene("axil_write_nowhere", ports.write(0x800, 1))
        await scene("axil_read", ports.read(registers.ID.address))
        await scene("axil_read_nowhere", ports.read(0x800))
        await scene("image", ports.send("image", frame, pause_before=3), ctx.tick().repeat(25))
        await ports.write(registers.INTERRUPT_STATUS.address, Interrupt.IMAGE_LOADED)
        await scene("input", ports.send("input", beats, pause_before=2), ctx.tick().repeat(3))
        await ctx.tick().until(shell.irq)
        start = len(record["irq"]) - 3
        await ports.read(registers.INTERRUPT_STATUS.address)
        await ports.write(registers.INTERRUPT_STATUS.address, Interrupt.INFERENCE_DONE)
        await ctx.tick().repeat(4)
        times["interrupt"] = start, len(record["irq"])
        await scene("output", ports.receive(stall=2))

    record = _simulate(shell, bench)
    axil_write = [f"s_axil_{name}" for name in (
        "awaddr", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid",
        "bready")]
    axil_read = [f"s_axil_{name}" for name in (
        "araddr", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready")]

    def stream(prefix: str) -> list[str]:
        return [f"{prefix}_{name}" for name in ("tdata", "tlast", "tvalid", "tready")]

    shown: dict[str, tuple[str, Sequence[str], Sequence[tuple[int, int]]]] = {
        "axil_write": ("Write: OKAY", axil_write, [times["axil_write"]]),
        "axil_write_errors": ("Writes: read-only register (SLVERR = 2), no register (DECERR = 3)",
                              axil_write,
                              [times["axil_write_read_only"], times["axil_write_nowhere"]]),
        "axil_read": ("Reads: ID (OKAY), no register (DECERR = 3)", axil_read,
                      [times["axil_read"], times["axil_read_nowhere"]]),
        "image": ("Image frame: magic, CONFIG, length, image ... CRC with TLAST",
                  stream("s_axis_image"), _ends(times["image"], record["s_axis_image_tlast"], 12)),
        "input": ("Input of three beats", stream("s_axis_input"), [times["input"]]),
        "output": ("Output of two beats; the receiver is slow", stream("m_axis_output"),
                   [times["output"]]),
        "interrupt": ("Interrupt: the output is ready; INTERRUPT_STATUS is read and cleared",
                      ["irq", "m_axis_output_tvalid", "s_axil_araddr", "s_axil_arvalid",
                       "s_axil_rdata", "s_axil_rvalid", "s_axil_awaddr", "s_axil_awvalid",
                       "s_axil_wdata", "s_axil_wvalid", "s_axil_bvalid"], [times["interrupt"]]),
    }
    widths = {name: len(Value.cast(getattr(shell, name))) for name in record}
    return {name: _wavedrom(title, record, names, spans, widths)
            for name, (title, names, spans) in shown.items()}


def _native_diagram(compiled: CompiledNetwork, vectors: Vectors) -> dict[str, Any]:
    engine = SparseEngine(_CONFIG)
    ports = {"run": engine.run, "busy": engine.busy, "loaded": engine.loaded}
    for path in ("image", "i", "o"):
        port = getattr(engine, path)
        ports |= {f"{path}__valid": port.valid, f"{path}__ready": port.ready,
                  f"{path}__payload": Value.cast(port.payload)}
    image = [int(word) for word in compiled.image()]
    beats = _beats(vectors.inputs[0])
    starts = []

    async def bench(ctx: Any, record: _Record) -> None:
        async def send(stream: Any, values: Sequence[int]) -> None:
            for number, value in enumerate(values):
                ctx.set(stream.payload, {"data": value, "last": number == len(values) - 1})
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

        await send(engine.image, image)
        await ctx.tick().until(engine.loaded)
        starts.append(len(record["run"]) - 2)
        await send(engine.i, beats)
        await ctx.tick().repeat(3)
        ctx.set(engine.run, 1)
        ctx.set(engine.o.ready, 1)
        await ctx.tick().until(engine.busy)
        ctx.set(engine.run, 0)
        await ctx.tick().until(~engine.busy)
        await ctx.tick()

    record = _simulate(engine, bench, ports)
    names = ["loaded", *(f"i__{name}" for name in ("payload", "valid", "ready")), "run", "busy",
             *(f"o__{name}" for name in ("payload", "valid", "ready"))]
    widths = {name: len(value) for name, value in ports.items()}
    return _wavedrom("Bare engine: an inference that waits for run; the payload's highest bit is "
                     "last", record, names, [(starts[0], len(record["run"]))], widths)


def _simulate(dut: wiring.Component, bench: Callable[[Any, _Record], Coroutine[Any, Any, None]],
              ports: dict[str, Value] | dict[str, Signal] | None = None) -> _Record:
    """Run a bench, and record the ports as each rising edge of the clock finds them."""
    if ports is None:
        ports = {name: Value.cast(getattr(dut, name)) for name in dut.signature.members}
    record: _Record = {name: [] for name in ports}
    ended = []

    async def watch(ctx: Any) -> None:
        async for _, _, *values in ctx.tick().sample(*ports.values()):
            for name, value in zip(ports, values, strict=True):
                record[name].append(int(value))

    async def drive(ctx: Any) -> None:
        await bench(ctx, record)
        ended.append(True)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(watch)
    sim.add_testbench(drive)
    for _ in range(2 * _MAX_CYCLES):
        if not sim.advance():
            break
    if not ended:
        raise TimeoutError(f"Bench must end in {_MAX_CYCLES} cycles")
    return record


def _ends(span: tuple[int, int], last: Sequence[int], first: int) -> list[tuple[int, int]]:
    """Split a span into its first cycles, and those around the end of its frame."""
    start, stop = span
    end = next(cycle for cycle in range(start, stop) if last[cycle])
    return [(start, start + first), (end - 2, end + 3)]


def _wavedrom(title: str, record: _Record, names: Sequence[str],
              spans: Sequence[tuple[int, int]], widths: dict[str, int]) -> dict[str, Any]:
    """Make a diagram of some spans of cycles; None stands for a gap."""
    columns: list[int | None] = []
    for start, stop in spans:
        if columns:
            columns.append(None)
        columns += _shortened(record, names, start, stop)
    signals: list[dict[str, Any]] = [
        {"name": "clk", "wave": "p" + "".join("|" if cycle is None else "." for cycle in
                                              columns[1:])}]
    for name in names:
        values = _visible(record, names, name)
        wave, data, before = "", [], None
        for cycle in columns:
            if cycle is None:
                wave += "|"
                continue
            value = values[cycle]
            if wave and value == before:
                wave += "."
            elif value is None:
                wave += "x"
            elif widths[name] == 1:
                wave += str(value)
            else:
                wave += "="
                data.append(f"{value:X}")
            before = value
        signals.append({"name": name, "wave": wave} | ({"data": data} if data else {}))
    return {"signal": signals, "head": {"text": title}, "config": {"hscale": 1 + (max(
        widths[name] for name in names) > 8)}}


def _shortened(record: _Record, names: Sequence[str], start: int, stop: int) -> list[int | None]:
    """Leave out cycles in which nothing changes."""
    seen = [_visible(record, names, name) for name in names]
    changes = [start, *(cycle for cycle in range(start + 1, stop)
                        if any(values[cycle] != values[cycle - 1] for values in seen))]
    columns: list[int | None] = []
    for cycle, following in pairwise([*changes, stop]):
        shown = range(cycle, following)
        columns += shown if len(shown) <= _QUIET or following == stop else [cycle, None]
    return columns[:columns.index(changes[-1]) + 2]


def _visible(record: _Record, names: Sequence[str], name: str) -> list[int | None]:
    """Hide what means nothing: the payload of a channel that is not valid."""
    stem, underscore, field = name.rpartition("_")
    valid = None
    if name.startswith("s_axil"):
        channel = next(channel for channel in ("aw", "ar", "w", "b", "r")
                       if field.startswith(channel))
        valid = f"{stem}{underscore}{channel}valid"
    elif field in {"tdata", "tlast"}:
        valid = f"{stem}_tvalid"
    elif field == "payload":
        valid = f"{stem}_valid"
    if valid is None or valid == name or field.endswith("ready"):
        return list(record[name])
    return [value if sure else None
            for value, sure in zip(record[name], record[valid], strict=True)]


def main(arguments: Sequence[str]) -> None:
    """Write the diagrams into a folder."""
    folder = Path(arguments[0])
    for name, diagram in diagrams().items():
        (folder / f"{name}.json").write_text(json.dumps(diagram, indent=1) + "\n",
                                             encoding="utf-8")
        (folder / f"{name}.svg").write_text(waveform_svg(diagram), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
