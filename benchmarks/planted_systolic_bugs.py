"""Plants bugs in the RTL of the systolic engine, one line each, and checks that tests find them.

    python benchmarks/planted_systolic_bugs.py

Each bug is planted in a temporary copy of the sources. Two tests of the whole engine are run
against it, until the first of them fails: one graph with all operators, and one session. Both run
in Icarus, which builds a design in a second. The tests of the component, if it has some, follow
where both pass. Exits with status 1 if a bug survives.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from planted_bugs import ROOT, Bug, first_failure, plant

TESTS = ("tests/sim/systolic/test_engine.py", "-k", "in_icarus")


def systolic(component: str, name: str, old: str, new: str) -> Bug:
    return Bug(name, f"rtl/systolic/{component}.py", old, new)


BUGS = [
    systolic("window_reader", "a row below the image is inside",
             "(found_row < height)", "(found_row <= height)"),
    systolic("window_reader", "a column left of the image is inside",
             "(found_column >= 0)", "(found_column >= -1)"),
    systolic("window_reader", "rows of windows are all the first one",
             "after[2].eq(row_addr + row_step),", "after[2].eq(row_addr),"),
    systolic("window_reader", "elements of a row are not dilated",
             "tap_column.eq(tap_column + column_dilation)", "tap_column.eq(tap_column + 1)"),
    systolic("window_reader", "each chunk goes back to the first window",
             "m.d.sync += [first.eq(now) for first, now in zip(begin, position, strict=True)]",
             "pass"),
    systolic("window_reader", "all blocks of outputs take the first channels",
             "m.d.sync += [share.eq(0), block.eq(block + 1)]", "m.d.sync += share.eq(0)"),
    systolic("tile_sequencer", "weights are swapped a cycle early",
             "self.vector_swap.eq(", "self.vector_swap.eq(begins | "),
    systolic("tile_sequencer", "the last chunk is as long as the others",
             "vectors.eq(following)", "vectors.eq(vectors)"),
    systolic("tile_sequencer", "a bank is taken before it has been read",
             "pass_first & banks_used[1]", "pass_first & banks_used.all()"),
    systolic("tile_sequencer", "a phase begins before its tiles are there",
             "(winograd & phase_first & (phases == 0))", "0"),
    systolic("tile_sequencer", "room for tiles is given back again and again",
             "m.d.sync += released.eq(1)", "m.d.sync += released.eq(0)"),
    systolic("tile_sequencer", "a sweep ends with each element of a tile",
             "vectors_left.last & sweep_last", "vectors_left.last"),
    systolic("accumulators", "passes do not change banks",
             "bank.eq(~bank)", "bank.eq(bank)"),
    systolic("accumulators", "a pass adds to the one before the last",
             "fresh.eq(sweeps_left.last)", "fresh.eq(0)"),
    systolic("accumulators", "a pass of Winograd's tiles ends late",
             "(operation & Flag.WINOGRAD).any(), blocks, slots)",
             "(operation & Flag.WINOGRAD).any(), slots, slots)"),
    systolic("accumulators", "minima are kept",
             "(new(3) >= old)", "(new(3) <= old)"),
    systolic("drain", "the last block of outputs has all groups",
             "Mux(passes.output_last, last_groups, all_groups)", "all_groups"),
    systolic("drain", "one bank is read again and again",
             "self.read_bank.eq(~self.read_bank)", "self.read_bank.eq(self.read_bank)"),
    systolic("drain", "a block of outputs begins with a word",
             "*(signal.eq(end_place) for signal in (place, first_place))",
             "*(signal.eq(0) for signal in (place, first_place))"),
    systolic("drain", "each chunk is written where the first one was",
             "first_pixel.eq(pixel)", "first_pixel.eq(first_pixel)"),
    systolic("pass_counter", "the last chunk counts as a whole one",
             "self.windows.eq(following)", "self.windows.eq(limit)"),
    systolic("output_lanes", "the zero point has no sign",
             "quantization[8:16].as_signed()", "quantization[8:15]"),
    systolic("output_lanes", "nothing is shifted to the left",
             "self.i[lane] << shifts[lane][_SHIFT_WIDTH:]", "self.i[lane]"),
    systolic("output_lanes", "biases are shifted to the left, too",
             "total.eq(shifted + bias)", "total.eq(shifted + (bias << 1))"),
    systolic("output_lanes", "nothing wraps",
             "requantize.wraps.eq(wraps)", "requantize.wraps.eq(0)"),
    systolic("output_lanes", "all layers round twice",
             "requantize.single_rounding.eq(single)", "requantize.single_rounding.eq(0)"),
    systolic("output_lanes", "the minimum is always -128",
             "requantize.minimum.eq(quantization[16:24].as_signed())",
             "requantize.minimum.eq(-128)"),
    systolic("residual", "the second operand is added twice",
             "operands[0].eq(waiting)", "operands[0].eq(self.word)"),
    systolic("residual", "the operands' zero points change places",
             "activation - zero_points[number]", "activation - zero_points[1 - number]"),
    systolic("residual", "the operands' shifts change places",
             "rescale.shift.eq(shifts[number])", "rescale.shift.eq(shifts[1 - number])"),
    systolic("winograd_drain", "tiles are not cropped below the image",
             "(image_row + y < height)", "(image_row + y <= height)"),
    systolic("winograd_drain", "tiles of a row overlap",
             "step << (size.bit_length() - 1)", "step"),
    systolic("winograd_drain", "outputs of all tiles come from one buffer",
             "buffer.eq(~buffer)", "buffer.eq(buffer)"),
    systolic("winograd_drain", "elements of a tile come column by column",
             "addr.eq(addr + row_step)", "addr.eq(addr + passes.windows)"),
    systolic("engine", "all phases read one buffer of tiles",
             "phase.eq(phase ^ transform.read_begin)", "phase.eq(phase)"),
    systolic("engine", "padding is the zero point of the output",
             "padding = descriptor[Field.QUANTIZATION][:ACTIVATION_BITS]",
             "padding = descriptor[Field.QUANTIZATION][8:16]"),
    systolic("engine", "padding comes a cycle early",
             'delayed(m, reader.o_inside, buffer.latency, "inside")',
             'delayed(m, reader.o_inside, buffer.latency - 1, "inside")'),
    systolic("engine", "an image may interrupt an input",
             "receiving & (input_under_way | ~self.image.valid)",
             "receiving & ~self.image.valid"),
    systolic("engine", "half of a refused image runs",
             "loader.begun | (loader.error != ErrorCode.NONE)", "loader.begun"),
    systolic("depthwise_sequencer", "a window's first group takes the weights of the block before",
             "self.bank.eq(block[0])", "self.bank.eq(~block[0])"),
    systolic("depthwise_sequencer", "a window below the image is inside",
             "_at_least(left, 1 - distance)", "_at_least(left, -distance)"),
    systolic("depthwise_sequencer", "a block begins while its weights come",
             "(self.weights_ready | ~first)", "1"),
    systolic("depthwise_sequencer", "groups of a window are cut off by the next one",
             "(~self.valid | group_left.last)", "1"),
    systolic("depthwise_sequencer", "each block takes the parameters of the first one",
             "first_parameter.eq(first_parameter + config.word_groups)",
             "first_parameter.eq(first_parameter)"),
    systolic("depthwise", "the mean of all pixels has the pixels before, too",
             "total & ~sequencer.first", "total"),
    systolic("depthwise_window", "the word above a pixel is that of two lines before",
             "side - 2 - row, width", "row, width"),
    systolic("depthwise_window", "a linear window takes words of other lines",
             "Mux(self.linear, window[(row + 1) * side], above)", "above"),
    systolic("depthwise_window", "the next pixels move a window whose groups have their turns",
             '"keep")', '"keep") | shift'),
    systolic("depthwise_weights", "a block's weights begin within a row of the one before",
             "row_ends.eq((place == places - 1) | last)", "row_ends.eq(place == places - 1)"),
    systolic("depthwise_sums", "the last tap of an odd number is left out",
             "for number in range(0, len(sums), 2):", "for number in range(0, len(sums) - 1, 2):"),
    systolic("weight_buffer", "the look-up takes no time",
             "_MEMORY_LATENCY + _LOOKUP_LATENCY[config.code_width]", "_MEMORY_LATENCY"),
    systolic("weight_buffer", "the first layer has no codebook",
             "store.start.eq(self.start)", "store.start.eq(self.start & (self.layer != 0))"),
    systolic("codebook_store", "a layer has the codebook of the one before",
             "Cat(code, self.layer)", "Cat(code, (self.layer - 1)[:len(self.layer)])"),
    systolic("codebook_store", "the last weight is not sent",
             "(sending & ~code.all())", "(sending & ~code[1:].all())"),
    systolic("codebook_store", "weights come a cycle before their codes",
             'delayed(m, code, 3, "code"', 'delayed(m, code, 4, "code"'),
    systolic("stream_port", "after a short input the next one goes on behind it",
             "restart.eq(dropping | ~walk.last)", "restart.eq(dropping)"),
    systolic("stream_port", "the rest of a long input is another input",
             "dropping.eq(1)", "dropping.eq(0)"),
    systolic("stream_port", "an output is read without room for it",
             "read.eq(reading & has_room)", "read.eq(reading)"),
    systolic("program_sequencer", "an inference does not wait until it may run",
             "with m.If(self.run):", "with m.If(1):"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="plant only bugs whose name or file holds this")
    options = parser.parse_args()

    survivors = []
    print("| file | bug | found by |")
    print("|---|---|---|")
    for bug in BUGS:
        if options.only not in f"{bug.file} {bug.name}":
            continue
        with tempfile.TemporaryDirectory() as temporary:
            plant(bug, Path(temporary))
            found = first_failure(Path(temporary), *TESTS)
            # The parts of the depthwise unit are tested together.
            name = Path(bug.file).name if "depthwise" not in bug.file else "depthwise.py"
            component = f"tests/rtl/systolic/test_{name}"
            if not found and (ROOT / component).exists():
                found = first_failure(Path(temporary), component)
        if not found:
            survivors.append(bug)
        print(f"| {Path(bug.file).name} | {bug.name} | {f'`{found}`' if found else 'none'} |",
              flush=True)
    for bug in survivors:
        print(f"No test finds in {bug.file}: {bug.name}", file=sys.stderr)
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
