"""``eieio bench tensor-core``: vectors of a real Tensor Core against golden model and RTL."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.npz import read_arrays
from eieio.model.tensor_core.config import INPUT_FORMATS, StepConfig
from eieio.model.tensor_core.float_format import FLOAT16, FLOAT32
from eieio.model.tensor_core.golden import long_dot_product, widen
from eieio.model.tensor_core.timing import latency
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import json_option
from eieio.scripts.results import ResultFiles, report_option
from eieio.sim.runner import Build
from eieio.sim.tensor_core.random_steps import random_steps
from eieio.sim.tensor_core.steps import build_steps, run_long_steps, run_steps

__all__ = ["COMMANDS", "tensor_core"]

_CONFIG = StepConfig()

# Random steps of a simulation: their golden model has to fit into memory.
_TOGETHER = 20_000

# Names of the results in a file of vectors, and whether they are binary16.
_RESULTS = {"fp32": False, "fp16": True}


@click.command("tensor-core", short_help="Vectors of a real Tensor Core, bit for bit.")
@click.option("--vectors", "vectors_file", type=click.Path(path_type=Path),
              help=".npz file with a, b (vectors, products), c (vectors,), d_fp32, d_fp16.")
@click.option("--random", "random_count", type=click.IntRange(min=0), default=0, show_default=True,
              help="Random steps to run in RTL against the golden model.")
@click.option("--products", type=int, default=_CONFIG.products, show_default=True,
              help="Products that are added at a time: V100 4, A100 8, H100 16.")
@click.option("--extra-bits", type=int, default=_CONFIG.extra_bits, show_default=True,
              help="Bits kept below binary32's fraction: V100 0, A100 1, H100 2.")
@click.option("--input-format", type=click.Choice([*INPUT_FORMATS]),
              default=_CONFIG.input_format, show_default=True, help="Format of the factors.")
@click.option("--rows", type=int, default=_CONFIG.rows, show_default=True,
              help="Rows of a step's result.")
@click.option("--columns", type=int, default=_CONFIG.columns, show_default=True,
              help="Columns of a step's result.")
@click.option("--model-only", is_flag=True, help="Run the golden model only: no Verilog.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the random steps.")
@json_option
@report_option
@click.pass_context
def tensor_core(ctx: click.Context, vectors_file: Path | None, random_count: int,
                model_only: bool, seed: int, json_file: Path | None,
                result_files: ResultFiles, **options: Any) -> None:
    """Compare a tensor core with what a real one computes, and its RTL with the golden model.

    Every vector of the file is a sum of products and an addend, with the result that a GPU gave, as
    binary32 (d_fp32), as binary16 (d_fp16; the addend is rounded to binary16 first), or both. Of
    longer vectors each block's result is the next block's addend. In RTL, vectors lie on the
    diagonals of steps; all other results of these steps must equal the golden model's.

    Factors are float16, or uint16 numbers that are their bits. NaN equals any NaN in the file.

    The exit status is 1 if anything differs.

    \b
    Examples:
      eieio bench tensor-core --vectors v100.npz --json tensor_core.json
      eieio bench tensor-core --random 100000 --products 8 --extra-bits 1
    """  # noqa: D301
    check_writable(json_file)
    if vectors_file is None and not random_count:
        raise click.UsageError("Option --vectors or --random must say what to run")
    if model_only and random_count:
        raise click.UsageError("Option --random goes without --model-only")
    config = StepConfig(**options)
    vectors = None if vectors_file is None else _read(vectors_file, config)
    built = None
    if not model_only:
        with progress("Building the simulation"):
            built = build_steps(config)
    figures: dict[str, Any] = {"config": config.to_dict(), "latency": latency(config)}
    rows = []
    if vectors is not None:
        count = len(vectors["c"])
        figures |= {"vectors": count, "mismatches": {}, "others": 0}
        for name, half in _RESULTS.items():
            if f"d_{name}" not in vectors:
                continue
            with progress(f"Running {count} vectors, {name}"):
                model, rtl, others = _compare(vectors, name, half, config, built)
            figures["mismatches"][f"model_{name}"] = model
            figures["mismatches"][f"rtl_{name}"] = rtl
            figures["others"] += others
            rows.append((f"vectors, {name}", f"{count:,}", f"{model:,}",
                         "not run" if rtl is None else f"{rtl:,}"))
        if built is not None:
            rows.append(("beside the diagonals", "", "", f"{figures['others']:,}"))
    if random_count and built is not None:
        with progress(f"Running {random_count} random steps"):
            figures |= _run_random(built, config, random_count, np.random.default_rng(seed))
        rows.append(("random results", f"{figures['random_results']:,}", "",
                     f"{figures['random_mismatches']:,}"))
    write_json(json_file, figures)
    result_files.write(figures, "Matrix steps of a tensor core")
    show(f"{config.rows} x {config.columns} sums of {config.products} products, "
         f"{config.extra_bits} extra bits, {config.input_format}; a step a cycle, "
         f"{latency(config)} cycles to its result",
         table(("compared", "results", "golden model differs", "RTL differs"), rows))
    wrong = [*figures.get("mismatches", {}).values(), figures.get("others"),
             figures.get("random_mismatches")]
    if any(wrong) or figures.get("rtl_latency", latency(config)) != latency(config):
        click.echo("eieio: Results differ", err=True)
        ctx.exit(1)


def _run_random(built: Build, config: StepConfig, count: int, rng: np.random.Generator
                ) -> dict[str, int]:
    """Run random steps, and count results that differ from the golden model's."""
    differ, latencies = 0, set()
    for first in range(0, count, _TOGETHER):
        steps = random_steps(config, min(_TOGETHER, count - first), rng)
        seen = run_steps(built, *steps[:3], config, half=steps.half)
        differ += int((seen.d != steps.results(config)).sum())
        latencies.add(seen.latency)
    return {"random_steps": count, "random_results": count * config.rows * config.columns,
            "random_mismatches": differ,
            # One that is not the model's, if there is one.
            "rtl_latency": max(latencies, key=lambda each: each != latency(config))}


def _read(path: Path, config: StepConfig) -> dict[str, NDArray[Any]]:
    """Read vectors: factors and results as their bits, addends as float32."""
    arrays = read_arrays(path)
    wanted = ["a", "b", "c"]
    if missing := [name for name in wanted if name not in arrays]:
        raise InputError(f"{path}: must have keys a, b and c, and lacks {', '.join(missing)}")
    results = [f"d_{name}" for name in _RESULTS if f"d_{name}" in arrays]
    if not results:
        raise InputError(f"{path}: must have a key d_fp32 or d_fp16, beside {', '.join(arrays)}")
    a, b, c = (arrays[name] for name in wanted)
    real = np.float16 if config.input_format == "float16" else np.uint16
    for name, array in (("a", a), ("b", b)):
        if array.dtype not in {np.dtype(np.uint16), np.dtype(real)} or array.ndim != 2:
            raise InputError(f"{path}: key {name!r} must be an array of shape (vectors, products) "
                             f"of {np.dtype(real).name} or of bits as uint16, not {array.dtype} "
                             f"of shape {array.shape}")
    if a.shape != b.shape or not a.size:
        raise InputError(f"{path}: keys 'a' and 'b' must have the same shape, and something in "
                         f"them, not {a.shape} and {b.shape}")
    for name, dtype in (("c", np.float32), ("d_fp32", np.float32), ("d_fp16", np.float16)):
        if name in arrays and (arrays[name].dtype != dtype or arrays[name].shape != (len(a),)):
            raise InputError(f"{path}: key {name!r} must be a {np.dtype(dtype).name} array of "
                             f"shape ({len(a)},), not {arrays[name].dtype} of shape "
                             f"{arrays[name].shape}")
    return {"a": a.view(np.uint16), "b": b.view(np.uint16), "c": c,
            **{name: arrays[name] for name in results}}


def _compare(vectors: dict[str, NDArray[Any]], name: str, half: bool, config: StepConfig,
             built: Build | None) -> tuple[int, int | None, int]:
    """Count results that differ: golden model from file, RTL from file, RTL from golden model."""
    a, b, c = (vectors[key] for key in "abc")
    if half:
        with np.errstate(over="ignore"):
            addend = widen(c.astype(np.float16).view(np.uint16))
    else:
        addend = c.view(np.uint32)
    expected = vectors[f"d_{name}"]
    model = _differ(long_dot_product(a, b, addend, config, half=half), expected, half)
    if built is None:
        return model, None, 0
    side = min(config.rows, config.columns)
    count = -(-len(c) // side)
    # Vectors that are missing in the last step are zeros.
    missing = count * side - len(c)
    a, b = (np.pad(array, ((0, missing), (0, 0))).reshape(count, side, -1) for array in (a, b))
    addend = np.pad(addend, (0, missing)).reshape(count, side)
    left = np.zeros((count, config.rows, a.shape[-1]), np.uint16)
    right = np.zeros((count, a.shape[-1], config.columns), np.uint16)
    addends = np.zeros((count, config.rows, config.columns), np.uint32)
    left[:, :side], right[:, :, :side] = a, np.swapaxes(b, 1, 2)
    diagonal = np.arange(side)
    addends[:, diagonal, diagonal] = addend
    seen = run_long_steps(built, left, right, addends, config, half=half).d
    shape = (*addends.shape, a.shape[-1])
    golden = long_dot_product(
        np.broadcast_to(left[:, :, None, :], shape),
        np.broadcast_to(np.swapaxes(right, 1, 2)[:, None, :, :], shape), addends, config, half=half)
    other = np.ones((config.rows, config.columns), bool)
    other[diagonal, diagonal] = False
    others = int((seen != golden)[:, other].sum())
    results = seen[:, diagonal, diagonal].reshape(-1)[:len(c)]
    return model, _differ(results, expected, half), others


def _differ(bits: NDArray[np.uint32], expected: NDArray[np.floating], half: bool) -> int:
    """Count results whose bits are not the expected ones; NaN equals NaN."""
    form = FLOAT16 if half else FLOAT32
    wanted = expected.view(np.uint16 if half else np.uint32)
    return int(((bits != wanted) & ~(form.decode(bits).nan & np.isnan(expected))).sum())


COMMANDS = [tensor_core]
