"""Measures coded images: the decoder against its reference, sizes, and loading over a serial line.

    python benchmarks/coded_images.py
    python benchmarks/coded_images.py --codes 100 --damaged 50
    python benchmarks/coded_images.py --load

Random images in random codes go through the decoder's RTL, with and without stalls: codes of
every length, of one symbol only, of the longest words, of as many symbols as there are; and damaged
ones. All words, errors and, without stalls, cycles must be the reference's. Then it prints what the
images of the examples take, and the cycles of decoding them by the cycle model.

With ``--load``, a simulated board of each engine loads its example's image plain and coded, through
the host driver, and runs an inference, whose integers must be the golden model's.

Exits with status 1 if anything differs, or is larger or slower than it shall be.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from eieio.host.device import Device
from eieio.model.coded_image_decoder import decode_image
from eieio.model.engine import Compiled, Messages, Request
from eieio.model.host_image import HostImage
from eieio.model.image_frame import HEADER_WORDS
from eieio.model.registers import error_name
from eieio.model.registry import engine_of, find_engine
from eieio.sim.board_simulation import SimulatedBoard, build_board
from eieio.sim.coded_images import DAMAGES, KINDS, check_decoder, damage, draw_case

EXAMPLES = Path(__file__).parents[1] / "examples"
MNIST = EXAMPLES / "lenet_300_100" / "mnist_test_1000.npz"
LENET_300 = (EXAMPLES / "lenet_300_100" / "lenet_300_100.npz", MNIST)
LENET_5 = (EXAMPLES / "lenet_5" / "lenet_5.onnx", EXAMPLES / "lenet_5" / "mnist_train_256.npz")

# Network, samples, engine, options; bytes that the coded image may take, and whether the board is
# simulated.
NETWORKS: list[tuple[str, tuple[Path, Path], str, dict[str, Any], int | None, bool]] = [
    ("LeNet-300-100, 16 PEs, board", LENET_300, "sparse", {"pes": 16}, 32_000, True),
    ("LeNet-300-100, 16 PEs, 4 groups", LENET_300, "sparse", {"pes": 16, "column_groups": 4},
     None, False),
    ("LeNet-5, 12 x 12", LENET_5, "systolic", {"rows": 12, "columns": 12, "lanes": 2}, None, True),
    ("LeNet-5, 8 x 8, Winograd", LENET_5, "systolic", {"rows": 8, "columns": 8, "winograd": 2},
     None, False),
]

#: Share of the plain image's time that loading a coded one of LeNet-300-100 may take.
SHARE = 1 / 3

_BATCH = 250


def codes(count: int, damaged: int, seed: int) -> bool:
    """Run the decoder on random images; returns whether all of them were right."""
    started = time.monotonic()
    rng = np.random.default_rng(seed)
    cases = [draw_case(KINDS[number % len(KINDS)], rng) for number in range(count)]
    kinds = list(DAMAGES)
    broken = [damage(cases[rng.integers(count)], kinds[number % len(kinds)], rng)
              for number in range(damaged)]
    print(f"random codes              {count}: {dict(Counter(case.name for case in cases))}")
    lengths = sorted(frozenset().union(*(case.lengths for case in cases)))
    print(f"lengths of codes in them  {', '.join(map(str, lengths))}")
    print(f"unused bits of last words {len({case.left for case in cases})} of 32 numbers")
    errors = Counter("none" if case.expected.error is None else error_name(case.expected.error)
                     for case in broken)
    print(f"damaged                   {damaged}: {dict(errors)}")
    # Damaged ones lie between good ones, which must be right all the same.
    step = max(1, count // max(1, damaged))
    mixed = []
    for number, case in enumerate(cases):
        mixed.append(case)
        if number % step == 0 and broken:
            mixed.append(broken.pop())
    mixed += broken
    good = True
    for stall in (0.0, 0.3):
        for start in range(0, len(mixed), _BATCH):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    check_decoder(mixed[start:start + _BATCH], Path(folder), stall=stall,
                                  seed=start)
                except AssertionError as error:
                    print(f"images from {start} on: {error}", file=sys.stderr)
                    good = False
        print(f"{f'stalls in {stall:.0%} of cycles':26}"
              f"{'all are as the reference says' if good else 'SOMETHING DIFFERS'}", flush=True)
    symbols = sum(case.expected.symbols for case in cases)
    print(f"images                    {len(mixed)}, {symbols:,} symbols in the good ones, in "
          f"{time.monotonic() - started:.0f} s", flush=True)
    return good


def compile_example(files: tuple[Path, Path], engine: str, options: dict[str, Any]
                    ) -> tuple[Compiled, Any]:
    """Compile a network as for a board, with a shell that takes coded images; returns samples."""
    found = find_engine(engine)
    request = Request(files[1], settings=found.all_settings())
    prepared = found.prepare(found.read(files[0]), request, Messages())
    return prepared.compile({**options, "coded_images": True}, board=True), prepared.samples.x


def sizes(name: str, image: HostImage, most: int | None) -> bool:
    """Print what an image takes; returns whether it is as small as it shall be."""
    frame = np.frombuffer(image.frame(coded=True), "<u4")[HEADER_WORDS:-1].astype(np.uint32)
    decoded = decode_image(frame, engine_of(image.config).word_layouts(image.config))
    right = decoded.error is None and np.array_equal(decoded.words, image.words)
    small = most is None or frame.nbytes <= most
    print(f"| {name} | {image.words.nbytes:,} | {frame.nbytes:,} | "
          f"{image.words.nbytes / frame.nbytes:.2f} | {decoded.symbols:,} | {decoded.cycles:,} | "
          f"{decoded.cycles / decoded.symbols:.3f} |", flush=True)
    return right and small


def load(name: str, compiled: Compiled, x: Any, share: float | None) -> bool:
    """Load an image plain and coded; returns whether both run, and the coded one is fast enough."""
    image = compiled.host
    sample = image.quantize(x[:1])
    golden = compiled.run(compiled.quantize(x[:1]))[0].reshape(-1)
    built = build_board(image.config)
    taken, right = [], True
    for coded in (None, False, True):  # First what goes over the line without an image.
        board = SimulatedBoard(built)
        started = time.monotonic()
        with board, Device.open(board.port, timeout=built.timeout,
                                patience=built.patience) as device:
            if coded is not None:
                device.load(image, coded=coded)
                seconds = time.monotonic() - started
                right &= np.array_equal(device.infer_integers(sample[0]), golden)
                print(f"{name}, {'coded' if coded else 'plain'}: loaded in {seconds:.1f} s of this "
                      "machine", flush=True)
        assert board.figures is not None
        taken.append((board.figures.bytes_to_board, board.figures.line_cycles))
    for what, place in (("bytes to the board", 0), ("cycles of the line", 1)):
        plain, less = (taken[number][place] - taken[0][place] for number in (1, 2))
        print(f"{name}: {what} {plain:,} plain, {less:,} coded: {less / plain:.1%}")
    print(f"{name}: integers {'equal' if right else 'DIFFER FROM'} the golden model's", flush=True)
    return right and (share is None or less < share * plain)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1000, help="random codes (default: 1000)")
    parser.add_argument("--damaged", type=int, default=500, help="damaged images (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="seed of them (default: 0)")
    parser.add_argument("--load", action="store_true", help="simulate boards instead of all that")
    options = parser.parse_args()
    if options.codes < 1:
        parser.error(f"--codes must be at least 1, not {options.codes}")

    good = options.load or codes(options.codes, options.damaged, options.seed)
    if not options.load:
        print("| image | bytes | coded | ratio | symbols | cycles | cycles a symbol |")
        print("|---|" + 6 * "---:|")
    for name, files, engine, settings, most, on_board in NETWORKS:
        if options.load and not on_board:
            continue
        compiled, x = compile_example(files, engine, settings)
        good &= (load(name, compiled, x, SHARE if most else None) if options.load
                 else sizes(name, compiled.host, most))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
