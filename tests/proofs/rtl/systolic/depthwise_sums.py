"""Proofs of the depthwise sums."""

from harness import Bug, Harness, Proof, as_signed

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.logic_multiplier import logic_stages
from eieio.rtl.systolic import depthwise_sums


def _sums(bits: int, kernel: int, kind: str) -> Harness:
    h = Harness()
    config = SystolicConfig(rows=2, columns=2, lanes=2, depthwise_lanes=2,
                            depthwise_kernel=kernel, depthwise_multipliers=kind)
    dut = h.add(depthwise_sums.DepthwiseSums(config))
    taps = kernel ** 2
    activations, weights = (
        [[h.free(bits, f"{name}_{tap}_{lane}") for lane in range(2)] for tap in range(taps)]
        for name in ("activation", "weight"))
    for port, numbers in ((dut.i_activations, activations), (dut.i_weights, weights)):
        for place, number in enumerate(number for lanes in numbers for number in lanes):
            h.m.d.comb += port.word_select(place, bits).eq(number)
    result = h.result(dut.o, dut.latency)
    width = len(result) // 2
    for lane in range(2):
        shown = as_signed(result.word_select(lane, width))
        h.check(shown == sum(as_signed(activations[tap][lane]) * as_signed(weights[tap][lane])
                             for tap in range(taps)))
        h.cover(shown == taps << (2 * bits - 2))  # The largest one.
        h.cover(shown == -7)
    return h


def _smaller(bits: int) -> tuple:
    return ((depthwise_sums, "ACTIVATION_BITS", bits),
            (depthwise_sums, "_PRODUCT_STAGES", logic_stages(bits)))


PROOFS = tuple(
    Proof(f"depthwise_sums_{kind}_{kernel}", "systolic/depthwise_sums.py",
          f"{kernel} x {kernel} products of {bits} bits in each of two lanes, multipliers of "
          f"{'logic' if kind == 'lut' else 'the FPGA'}: their exact sum",
          lambda bits=bits, kernel=kernel, kind=kind: _sums(bits, kernel, kind),
          engine="pipeline", replaced=_smaller(bits),
          bugs=(Bug("weights of lanes and taps are exchanged",
                    "self.i_weights.word_select(place, ACTIVATION_BITS)",
                    "self.i_weights.word_select(lane * taps + tap, ACTIVATION_BITS)"),
                Bug("a sum has too few bits", "signed(2 * ACTIVATION_BITS + level),\n"
                    "                                   name=",
                    "signed(2 * ACTIVATION_BITS + level - 1),\n"
                    "                                   name=")))
    for bits, kernel, kind in ((8, 2, "dsp"), (4, 3, "dsp"), (3, 2, "lut")))
