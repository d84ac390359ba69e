"""Profiles of layers, and the trace that is made of them."""

import math
from typing import Any

import pytest

from eieio.model.trace import LayerProfile, mean_profile, trace

FIRST = LayerProfile("a", 10, {"multiply": 6.25, "wait": 0.75, "overhead": 3})
SECOND = LayerProfile("b", 4, {"add": 4})


def spans(document: dict[str, Any], process: int, track: int) -> list[tuple[str, float, float]]:
    return [(event["name"], event["ts"], event["dur"]) for event in document["traceEvents"]
            if event["ph"] == "X" and (event["pid"], event["tid"]) == (process, track)]


def test_causes_add_up() -> None:
    with pytest.raises(ValueError, match=r"Causes of layer 'a' must add up to its 10 cycles, not "
                                         r"be \{'multiply': 6\}"):
        LayerProfile("a", 10, {"multiply": 6})


def test_mean() -> None:
    other = LayerProfile("a", 12, {"multiply": 8.25, "wait": 0.75, "overhead": 3})
    assert mean_profile([[FIRST, SECOND], [other, SECOND]]) == [
        LayerProfile("a", 11, {"multiply": 7.25, "wait": 0.75, "overhead": 3}), SECOND]


def test_trace() -> None:
    """Tracks lie within one another; a second inference begins where the first ends."""
    document = trace({"cycle model": [[FIRST, SECOND]] * 2, "RTL": [[FIRST, SECOND]] * 2})
    names = {event["pid"]: event["args"]["name"] for event in document["traceEvents"]
             if event["name"] == "process_name"}
    assert list(names.values()) == ["cycle model", "RTL"]
    for process in names:
        assert spans(document, process, 1) == [("inference 0", 0, 14), ("inference 1", 14, 14)]
        assert spans(document, process, 2) == [("a", 0, 10), ("b", 10, 4), ("a", 14, 10),
                                               ("b", 24, 4)]
        assert spans(document, process, 3)[:4] == [
            ("multiply", 0, 6.25), ("wait", 6.25, 0.75), ("overhead", 7, 3), ("add", 10, 4)]
        assert math.fsum(length for *_, length in spans(document, process, 3)) == 28
    assert document["otherData"]["unit"] == "1 microsecond of the trace is 1 cycle of the clock"
    tracks = {event["tid"]: event["args"]["name"] for event in document["traceEvents"]
              if event["name"] == "thread_name"}
    assert not tracks.keys() & names.keys(), "a viewer would take it for the main thread"
    assert tracks == {1: "inferences", 2: "layers", 3: "causes, as shares of a layer"}


def test_no_time_is_no_event() -> None:
    layer = LayerProfile("a", 5, {"multiply": 5, "wait": 0})
    assert [name for name, *_ in spans(trace({"RTL": [[layer]]}), 4, 3)] == ["multiply"]
