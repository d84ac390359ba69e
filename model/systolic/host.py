"""What a host must know of a network for the systolic engine."""

from eieio.model.host_image import HostImage, Packing, Quantization
from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.model.systolic.image import Port, SystolicImage

__all__ = ["systolic_host_image"]


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
    return HostImage(
        image.network, "systolic", image.config, image.fingerprint, image.words,
        packing(image.input), packing(image.output),
        numbers(image.input.scale, image.input.zero_point),
        result, image.input.shape, image.output.shape, image.batch, image.softmax,
        image.output.scale if image.log_softmax else None, image.channels_first,
        image.integer_input)
