"""What the cycles of layers went to, and a trace of it that Perfetto and chrome://tracing open."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["LayerProfile", "mean_profile", "trace"]

_INFERENCES, _LAYERS, _CAUSES = 1, 2, 3
_TRACKS = {
    _INFERENCES: "inferences",
    _LAYERS: "layers",
    _CAUSES: "causes, as shares of a layer",
}


@dataclass(frozen=True)
class LayerProfile:
    """What the cycles of a layer went to.

    Attributes
    ----------
    name : :class:`str`
        The layer.
    cycles : :class:`int` or :class:`float`
        Its cycles; of several inferences their mean.
    causes : dict of :class:`float` by :class:`str`
        Parts of them by cause, which exclude one another. Where several processing elements do
        different things in a cycle, it counts for each cause by their share.

    Raises
    ------
    ValueError
        If the causes do not add up to the cycles.
    """

    name: str
    cycles: float
    causes: dict[str, float]

    def __post_init__(self) -> None:
        total = math.fsum(self.causes.values())
        if not math.isclose(total, self.cycles, abs_tol=1e-6):
            raise ValueError(f"Causes of layer {self.name!r} must add up to its {self.cycles} "
                             f"cycles, not be {self.causes}")


def mean_profile(inferences: Sequence[Sequence[LayerProfile]]) -> list[LayerProfile]:
    """Take the mean of several inferences, layer by layer."""
    count = len(inferences)
    return [LayerProfile(layers[0].name, sum(layer.cycles for layer in layers) / count,
                         {cause: math.fsum(layer.causes[cause] for layer in layers) / count
                          for cause in layers[0].causes})
            for layers in zip(*inferences, strict=True)]


def trace(origins: Mapping[str, Sequence[Sequence[LayerProfile]]]) -> dict[str, Any]:
    """Write a trace in the Chrome trace event format.

    Parameters
    ----------
    origins : mapping of :class:`str`
        Of each origin, such as the cycle model and the RTL, the layers of its inferences, in the
        order in which they ran. An origin is a process of the trace, with a track of inferences,
        one of layers, and one that fills each layer with its causes.

    Returns
    -------
    dict
        The trace, as JSON takes it. A cycle is a microsecond, the unit of the format. Inferences
        follow one another without their input and output.
    """
    events: list[dict[str, Any]] = []
    # A viewer takes the track that has its process's number for the main thread, and puts it first.
    for process, (origin, inferences) in enumerate(origins.items(), len(_TRACKS) + 1):
        events.append(_name("process_name", process, 0, origin))
        events += [_name("thread_name", process, track, name) for track, name in _TRACKS.items()]
        now = 0.0
        for number, layers in enumerate(inferences):
            cycles = sum(layer.cycles for layer in layers)
            events.append(_span(f"inference {number}", process, _INFERENCES, now, cycles, {}))
            for layer in layers:
                events.append(_span(layer.name, process, _LAYERS, now, layer.cycles,
                                    {"inference": number, **layer.causes}))
                before = 0.0
                for cause, share in layer.causes.items():
                    if share > 0:
                        events.append(_span(cause, process, _CAUSES, now + before, share,
                                            {"layer": layer.name}))
                    before += share
                now += layer.cycles
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "unit": "1 microsecond of the trace is 1 cycle of the clock",
            "causes": "shares of a layer's cycles, one behind the other; not when they happened",
        },
    }


def _name(what: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": name}}


def _span(name: str, process: int, track: int, start: float, cycles: float,
          arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "X", "name": name, "pid": process, "tid": track, "ts": start, "dur": cycles,
            "args": {"cycles": cycles, **arguments}}
