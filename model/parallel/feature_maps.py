"""Model parallel by feature maps: each worker computes some output channels of a layer.

A worker has the weights of its channels alone, and needs all of the layer's input. Nothing is added
between workers: their outputs side by side are the unsplit layer's.
"""

from dataclasses import replace

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import Conv2D, FullyConnected, Value
from eieio.model.parallel.shares import split

__all__ = ["split_feature_maps"]


def split_feature_maps(operator: Conv2D | FullyConnected, workers: int
                       ) -> list[Conv2D | FullyConnected]:
    """Share the output channels of a layer out among workers.

    Parameters
    ----------
    operator : Conv2D or FullyConnected
        The layer.
    workers : :class:`int`
        Workers.

    Returns
    -------
    list of the same class
        Of each worker the layer of its channels; their outputs, joined along the last axis, are
        those of the whole layer.

    Raises
    ------
    InputError
        If the layer is of another kind, or a worker would have no channel.
    """
    if not isinstance(operator, Conv2D | FullyConnected) or (
            operator.output.shape[-1] != len(operator.weight)):
        raise InputError(f"Layer {operator.name!r} must be a convolution, or fully connected with "
                         "one axis of outputs")
    parts = []
    for rank, own in enumerate(split(len(operator.weight), workers)):
        places = slice(own.start, own.stop)
        name = f"{operator.output.name}_{rank}"
        parts.append(replace(
            operator, weight=operator.weight[places], bias=operator.bias[places], shared=None,
            weight_scale=None if operator.weight_scale is None else operator.weight_scale[places],
            output=Value(name, (*operator.output.shape[:-1], len(own)))))
    return parts
