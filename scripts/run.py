"""``eieio run``: run inputs on a board."""

import time
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import click
import numpy as np

from eieio.host.device import Device
from eieio.host.images import read_host_image
from eieio.model.accuracy import accuracy
from eieio.model.errors import InputError
from eieio.model.graph.load_graph import read_samples
from eieio.model.graph.quantization import Scale
from eieio.model.uart_frame import BAUD_RATE
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.options import input_scale_option, json_option
from eieio.scripts.speed import speed_of
from eieio.sim.board_simulation import SimulatedBoard, build_board

__all__ = ["run"]

#: Answers that are shown one by one.
_SHOWN = 10


@click.command(short_help="Run inputs on a board, over its serial port.")
@click.argument("design", type=click.Path(path_type=Path))
@click.argument("input_file", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--port", help="Serial port of the board, such as /dev/ttyUSB0.")
@click.option("--simulated", is_flag=True,
              help="Simulate the board's Verilog instead; its serial port is a pseudo-terminal.")
@click.option("--baud", type=click.IntRange(min=1), default=BAUD_RATE, show_default=True,
              help="Bits a second, as the board was built for.")
@click.option("--count", type=click.IntRange(min=1),
              help="Run this many of the inputs, from the first on. Default: all.")
@click.option("--image", "form", type=click.Choice(["plain", "coded"]),
              help="How to send the image. Default: coded, if the board can decode it.")
@input_scale_option
@json_option
def run(design: Path, input_file: Path, port: str | None, simulated: bool, baud: int,
        count: int | None, form: str | None, input_scale: float | None, json_file: Path | None
        ) -> None:
    """Load the image of DESIGN into a board, and run the inputs of the file INPUT there.

    DESIGN is a folder that 'eieio generate' or 'eieio build' made, or its file network.image; the
    board must hold the same engine. INPUT is an .npy file of shape (samples, inputs) or, for
    images, (samples, height, width, channels), or an .npz file with these under the key x, and
    perhaps labels under the key y.

    \b
    Examples:
      eieio run design mnist_test.npz --port /dev/ttyUSB0 --count 100
      eieio run design mnist_test.npz --simulated --count 10
    """  # noqa: D301
    if (port is None) == (not simulated):
        raise click.UsageError("Give either --port, for a board, or --simulated")
    check_writable(json_file)
    image = read_host_image(design)
    numbers = image.input_numbers
    samples = read_samples(input_file, image.input_shape, prod(image.output_shape), input_scale,
                           channels_first=image.channels_first, integers=(
                               image.integer_input, Scale(numbers.scale, numbers.zero_point)))
    if count is not None and count > len(samples.x):
        raise InputError(f"Option --count must be at most {len(samples.x)}, the number of inputs, "
                         f"not {count}")
    x = image.quantize(samples.x[:count])
    inferences = image.group(x)
    results = np.zeros((len(inferences), image.outputs.positions.size), np.int32)
    cycles: list[int] = []
    with ExitStack() as stack:
        if port is None:
            with progress("Building the board's simulation"):
                built = build_board(image.config)
            port = stack.enter_context(SimulatedBoard(built)).port
            device = stack.enter_context(Device.open(
                port, baud, timeout=built.timeout, patience=built.patience))
        else:
            device = stack.enter_context(Device.open(port, baud))
        info = device.info()
        began = time.monotonic()
        with progress(f"Loading the image into the {info.engine} engine"):
            device.load(image, coded=None if form is None else form == "coded")
        loaded = time.monotonic()
        with progress(f"Running {len(inferences)} inference{'s' if len(inferences) != 1 else ''}"):
            for inputs, result in zip(inferences, results, strict=True):
                result[:] = device.infer_integers(inputs)
                cycles.append(device.cycles())
        seconds = time.monotonic() - loaded
        retries = device.retries
    outputs = results.reshape(-1, prod(image.output_shape))[:len(x)]
    answers = outputs.argmax(axis=1)
    labels = None if samples.labels is None else samples.labels[:len(x)]
    figures: dict[str, Any] = {
        "network": image.name, "engine": info.engine, "port": port, "simulated": simulated,
        "baud": baud,
        "clock_hz": info.clock_hz, "inferences": len(inferences),
        "accuracy": None if labels is None else accuracy(outputs, labels),
        "cycles": cycles, "load_seconds": loaded - began, "seconds": seconds,
        "inferences_per_second": len(inferences) / seconds, "retries": retries,
        "answers": answers.tolist(), "output_scale": image.output_numbers.scale,
        "output_zero_point": image.output_numbers.zero_point,
        "outputs": outputs.tolist(),
    }
    mean = float(np.mean(cycles))
    speed = speed_of(image, mean)
    rates = speed.figures(info.clock_hz, baud) if info.clock_hz else {}
    # What was measured keeps its name.
    figures = rates | speed.cycles() | figures
    write_json(json_file, figures)
    rows = [
        ("inferences", f"{len(inferences):,}"),
        *([("accuracy", f"{figures['accuracy']:.2%}")] if labels is not None else []),
        ("cycles", f"{mean:,.1f} ({min(cycles):,} to {max(cycles):,})"),
        *([("inferences/s without input and output",
            f"{rates['inferences_per_second']:,.0f}"),
           ("inferences/s with them, by a DMA",
            f"{rates['inferences_per_second_with_data']:,.0f}"),
           (f"inferences/s at {baud:,} baud, by count",
            f"{rates['inferences_per_second_serial']:,.1f}")] if rates else []),
        # Of a simulation these would say how fast this machine is.
        *([("inferences/s, measured here", f"{figures['inferences_per_second']:,.2f}"),
           ("seconds to load the image", f"{figures['load_seconds']:.2f}")]
          if not simulated else []),
        ("frames sent again", f"{retries:,}"),
    ]
    shown = answers[:_SHOWN].tolist()
    show(table(("on the simulated board" if simulated else "on the board", ""), rows),
         f"Answers: {' '.join(map(str, shown))}{' ...' if len(answers) > _SHOWN else ''}")
    if retries:
        note(f"the serial line is noisy: {retries} frames had to be sent again")
