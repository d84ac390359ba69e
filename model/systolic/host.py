"""What a host must know of a network for the systolic engine."""

from dataclasses import dataclass

from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.interval import Interval
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.image import Port, SystolicImage
from eieio.model.systolic.timing import inference_interval

__all__ = ["SystolicHostImage", "systolic_host_image"]


@dataclass(frozen=True, eq=False)
class SystolicHostImage(HostImage):
    """Also knows how long an input takes.

    Attributes
    ----------
    input_pauses : :class:`int`
        Cycles of an input in which no beat is taken.
    """

    input_pauses: int = 0

    def interval(self, cycles: float) -> Interval:
        assert isinstance(self.config, SystolicConfig)
        return inference_interval(self.config, cycles, self.inputs.beats + self.input_pauses,
                                  self.outputs.beats)


def systolic_host_image(image: SystolicImage) -> HostImage:
    """Return what a host must know of an image for the systolic engine."""
    def packing(port: Port) -> Packing:
        return Packing(port.positions, port.beats * port.lanes, ACTIVATION_BITS, port.lanes)

    def numbers(scale: float, zero_point: int) -> Quantization:
        return Quantization(scale, zero_point, -128, 127, "away")

    result = numbers(image.output.scale, image.output.zero_point)
    if image.softmax:
        result = numbers(1 / 256, -128)
    elif image.log_softmax:
        result = numbers(1 / 16, 127)
    return SystolicHostImage(
        image.network, "systolic", image.config, image.fingerprint, image.words,
        packing(image.input), packing(image.output),
        numbers(image.input.scale, image.input.zero_point),
        result, image.input.shape, image.output.shape, image.batch, image.softmax,
        image.output.scale if image.log_softmax else None, image.channels_first,
        image.integer_input, image.input.pauses)
