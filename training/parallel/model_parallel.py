"""Layers that processes compute together: by feature maps, or by image regions with halos."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn
from torch.distributed import P2POp
from torch.nn import functional

from eieio.model.errors import InputError
from eieio.model.graph.window import Window
from eieio.model.parallel.image_regions import Region, halos, plan_regions
from eieio.model.parallel.shares import split

__all__ = ["by_feature_maps", "by_image_regions"]


def by_feature_maps(layers: Sequence[nn.Module], x: Tensor, workers: int) -> Tensor | None:
    """Compute layers; each process some output channels of those with weights.

    Parameters
    ----------
    layers : sequence of modules
        Convolutions, fully connected layers, and layers without weights.
    x : tensor of shape (images, channels, height, width)
        Input, the same in each process.
    workers : :class:`int`
        Processes that take part: the first ranks. All must call this.

    Returns
    -------
    tensor or None
        Output of the last layer, in each process that takes part.

    Raises
    ------
    InputError
        If a layer with weights is of another kind, or a process would have no channel.
    """
    rank = distributed.get_rank()
    if rank >= workers:
        return None
    for layer in layers:
        if not list(layer.parameters()):
            x = layer(x)
            continue
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            raise InputError(f"Layer must be a convolution or fully connected, not "
                             f"{type(layer).__name__}")
        shares = split(len(layer.weight), workers)
        places = slice(shares[rank].start, shares[rank].stop)
        bias = None if layer.bias is None else layer.bias[places]
        own = (functional.linear(x, layer.weight[places], bias)
               if isinstance(layer, nn.Linear) else functional.conv2d(
                   x, layer.weight[places], bias, layer.stride, layer.padding, layer.dilation))
        x = _gather(own.contiguous(), [len(share) for share in shares], 1)
    return x


def _gather(own: Tensor, sizes: Sequence[int], axis: int) -> Tensor:
    """Put the parts of all processes side by side, in each of them."""
    rank, workers = distributed.get_rank(), len(sizes)
    parts, messages = [], []
    for source, size in enumerate(sizes):
        shape = list(own.shape)
        shape[axis] = size
        parts.append(own if source == rank else torch.empty(shape, dtype=own.dtype))
    for other in range(workers):
        if other != rank:
            messages += [P2POp(distributed.isend, own, other),
                         P2POp(distributed.irecv, parts[other], other)]
    _exchange(messages)
    return torch.cat(parts, axis)


def _exchange(messages: Sequence[P2POp]) -> None:
    if messages:
        for request in distributed.batch_isend_irecv(list(messages)):
            request.wait()


def by_image_regions(layers: Sequence[nn.Module], x: Tensor, workers: int
                     ) -> tuple[Tensor, int] | None:
    """Compute layers; each process some rows of each of them, with halos from the others.

    Parameters
    ----------
    layers : sequence of modules
        Convolutions, maxima of windows, and layers that work element by element.
    x : tensor of shape (images, channels, height, width)
        Input, of which each process takes its own rows alone.
    workers : :class:`int`
        Processes that take part: the first ranks. All must call this.

    Returns
    -------
    tensor and :class:`int`, or None
        Output of the last layer, put together in each process that takes part, and how many rows
        of halos this process got.
    """
    rank = distributed.get_rank()
    if rank >= workers:
        return None
    owned = split(x.shape[2], workers)
    x, got = x[:, :, owned[rank].start:owned[rank].stop], 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            window = _window(layer)
            regions = plan_regions(window, owned[-1].stop, x.shape[3], owned)
            got += sum(len(halo.rows) for halo in halos(regions) if halo.target == rank)
            x = _compute(layer, _with_halos(x, regions), regions[rank].window)
            owned = [region.outputs for region in regions]
        else:
            x = layer(x)
    return _gather(x.contiguous(), [len(rows) for rows in owned], 2), got


def _window(layer: nn.Conv2d | nn.MaxPool2d) -> Window:
    def pair(size: int | tuple[int, ...] | None) -> tuple[int, int]:
        assert size is not None
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    assert not isinstance(layer.padding, str)
    down, across = pair(layer.padding)
    return Window(pair(layer.kernel_size), pair(layer.stride), pair(layer.dilation),
                  ((down, down), (across, across)))


def _with_halos(x: Tensor, regions: Sequence[Region]) -> Tensor:
    """Send the rows that others need, and return those that this process needs."""
    rank = distributed.get_rank()
    region = regions[rank]
    rows = torch.empty((*x.shape[:2], len(region.needed), x.shape[3]), dtype=x.dtype)

    def place(part: range) -> slice:
        return slice(part.start - region.needed.start, part.stop - region.needed.start)

    own = range(max(region.owned.start, region.needed.start),
                min(region.owned.stop, region.needed.stop))
    if own:
        rows[:, :, place(own)] = x[:, :, own.start - region.owned.start:
                                   own.stop - region.owned.start]
    messages, taken = [], []
    for halo in halos(regions):
        if halo.source == rank:
            first = halo.rows.start - region.owned.start
            part = x[:, :, first:first + len(halo.rows)].contiguous()
            messages.append(P2POp(distributed.isend, part, halo.target))
        elif halo.target == rank:
            part = torch.empty((*x.shape[:2], len(halo.rows), x.shape[3]), dtype=x.dtype)
            messages.append(P2POp(distributed.irecv, part, halo.source))
            taken.append((halo.rows, part))
    _exchange(messages)
    for needed, part in taken:
        rows[:, :, place(needed)] = part
    return rows


def _compute(layer: nn.Conv2d | nn.MaxPool2d, x: Tensor, window: Window) -> Tensor:
    (top, bottom), (left, right) = window.padding
    outside = 0.0 if isinstance(layer, nn.Conv2d) else -torch.inf
    x = functional.pad(x, (left, right, top, bottom), value=outside)
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(x, layer.weight, layer.bias, layer.stride, 0, layer.dilation,
                                 layer.groups)
    return functional.max_pool2d(x, layer.kernel_size, layer.stride, 0, layer.dilation)
