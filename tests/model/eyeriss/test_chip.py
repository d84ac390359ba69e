"""The chip's published figures: sizes and traffic exactly, times within bands."""

import pytest

from eieio.model.errors import InputError
from eieio.model.eyeriss.accesses import count_accesses
from eieio.model.eyeriss.chip import (
    PUBLISHED,
    Published,
    dram_bytes,
    glb_traffic,
    processing_ms,
)
from eieio.model.eyeriss.config import CHIP, EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapper import choose_mapping
from eieio.model.eyeriss.mapping import Mapping

ALEXNET = PUBLISHED[:5]
VGG = PUBLISHED[5:]


def name(published: Published) -> str:
    return published.layer.name


@pytest.mark.parametrize("published", ALEXNET, ids=name)
def test_mapping_of_alexnet_keeps_the_rules_and_has_the_published_sizes(
        published: Published) -> None:
    layer, mapping = published.layer, published.mapping
    mapping.check(layer, CHIP)
    published.traffic_mapping.check(layer, CHIP)
    assert mapping.active_pes(layer) == published.active_pes
    assert round(mapping.glb_ifmap_bytes(layer) / 1024, 1) == published.glb_ifmap_kb
    assert round(mapping.glb_psum_bytes(layer, CHIP) / 1024, 1) == published.glb_psum_kb


def test_sizes_and_macs_exactly() -> None:
    assert [each.layer.macs for each in ALEXNET] == [
        421_660_800, 895_795_200, 598_081_536, 448_561_152, 299_040_768]
    assert [each.mapping.glb_ifmap_bytes(each.layer) for each in ALEXNET] == [
        15_890, 3_844, 7_200, 10_800, 10_800]
    assert [each.mapping.glb_psum_bytes(each.layer, CHIP) for each in ALEXNET] == [
        73_920, 93_312, 86_528, 86_528, 86_528]
    assert [each.mapping.active_pes(each.layer) for each in ALEXNET] == [154, 135, 156, 156, 156]


def test_traffic_to_the_printed_digit() -> None:
    traffic = [glb_traffic(each.layer, each.traffic_mapping) for each in ALEXNET]
    for published, found in zip(ALEXNET, traffic, strict=True):
        assert round(float(found) / 1e6, 1) == published.glb_traffic_mb
    assert [round(float(each) / 1e6, 2) for each in traffic] == [18.45, 77.57, 50.22, 37.37, 24.92]
    assert round(float(sum(traffic)) / 1e6, 2) == 208.53
    # Table III's own mapping of the third layer is not that of table V.
    third = ALEXNET[2]
    assert third.mapping != third.traffic_mapping
    assert round(float(glb_traffic(third.layer, third.mapping)) / 1e6, 1) == 69.2
    for published in VGG:
        found = float(glb_traffic(published.layer, published.mapping)) / 2**20
        assert found == pytest.approx(published.glb_traffic_mb, rel=0.008)


def test_processing_times() -> None:
    times = [processing_ms(each.layer, each.traffic_mapping) for each in ALEXNET]
    assert [round(ms, 2) for ms in times] == [15.33, 34.71, 20.43, 15.21, 10.14]
    for published, ms in zip(ALEXNET, times, strict=True):
        assert -0.12 < ms / published.processing_ms - 1 < 0.02
        own = processing_ms(published.layer, published.mapping)
        assert -0.12 < own / published.processing_ms - 1 < 0.02
    times = [processing_ms(each.layer, each.mapping) for each in VGG]
    assert round(sum(times), 1) == 3697.6
    assert sum(each.processing_ms for each in VGG) == pytest.approx(3755.2, abs=0.3)
    for published, ms in zip(VGG, times, strict=True):
        assert -0.05 < ms / published.processing_ms - 1 < 0.01
        assert published.mapping.active_pes(published.layer) == published.active_pes


def test_outer_memory_is_near_the_measured() -> None:
    """An estimate, from the published shares of zeros: from 3 % below to 13 % above."""
    coded = [None, *(each.zeros for each in ALEXNET[1:])]
    found = [dram_bytes(each.layer, each.traffic_mapping, (share, following)) / 1e6
             for each, share, following in zip(ALEXNET, coded, [*coded[1:], coded[-1]],
                                               strict=True)]
    assert [round(mb, 2) for mb in found] == [5.63, 4.21, 2.93, 2.05, 1.4]
    assert all(-0.03 < mb / (each.dram_mb or 0) - 1 < 0.13
               for mb, each in zip(found, ALEXNET, strict=True))


def test_mapper_finds_the_published_mappings() -> None:
    """By the least energy alone. Of CONV3 it is table V's."""
    for published in ALEXNET[:3]:
        assert choose_mapping(published.layer, CHIP) == published.traffic_mapping


@pytest.mark.parametrize(("change", "message"), [
    ({"p": 25, "q": 2}, "p, partial sums of a PE, must be at most 24, not 25"),
    ({"p": 8, "q": 5}, "q S, activations of a PE, must be at most 12, not 15"),
    ({"p": 20, "q": 4}, "p q S, weights of a PE, must be at most 224, not 240"),
    ({"r": 5}, "R r, PEs of a chain, must be at most 12, not 15"),
    ({"t": 3}, "e t, chains, must be at most 28, not 39"),
    ({"n": 5}, "n must be at most 4, not 5"),
    ({"m": 500}, "m must be at most 192, not 500"),
    ({"e": 14, "t": 1}, "e must be at most 13, not 14"),
    ({"m": 31}, "p t, filters of a pass, must be at most 31, not 32"),
    ({"m": 96}, "bytes in the global buffer must be at most 102400, not 140592"),
    ({"m": 0}, ("all must be positive, not {'n': 4, 'm': 0, 'e': 13, 'p': 16, 'q': 3, 'r': 2, "
                "'t': 2}")),
])
def test_refuses_what_breaks_a_rule(change: dict[str, int], message: str) -> None:
    layer = ALEXNET[3].layer
    mapping = Mapping(**(ALEXNET[3].mapping.to_dict() | change))
    with pytest.raises(InputError) as error:
        mapping.check(layer, CHIP)
    assert str(error.value) == f"Mapping of layer 'CONV4': {message}"


def test_refuses_what_no_mapping_can_do() -> None:
    config = EyerissConfig(rows=4, columns=2)
    with pytest.raises(InputError, match="'tall' must have a mapping on 4 x 2 PEs with 102400"):
        choose_mapping(Layer("tall", 9, 9, 1, 1, 5, 5), config)
    with pytest.raises(InputError, match="Option glb_bytes must be a power of two of lines of 16"):
        EyerissConfig(glb_bytes=100000)
    with pytest.raises(InputError, match="Option glb_bytes must be at most 1048576, 65536 lines"):
        EyerissConfig(glb_bytes=1 << 21, glb_banks=16)
    with pytest.raises(InputError, match="Option bus_words must be one of 1, 2, 4, not 3"):
        EyerissConfig(bus_words=3)


def test_accesses_are_those_of_the_passes() -> None:
    """What the closed form adds up is what the passes do, one by one, ragged edges and all."""
    layer = Layer("ragged", 11, 12, 7, 10, 3, 3, 2, batch=3)
    mapping = Mapping(2, 8, 2, 3, 2, 2, 2)
    found = count_accesses(layer, mapping)
    columns = mapping.input_columns(layer)
    macs = reads = hops = weights = ifmaps = filter_writes = ifmap_writes = started = 0
    for one in mapping.passes(layer):
        psums = one.filters * one.images * one.strip.rows * layer.output_width
        macs += psums * one.channels * 9
        hops += psums * (3 * one.r - 1)
        weights += one.filters * one.channels * 9
        ifmaps += one.channels * one.images * mapping.input_rows(layer, one.strip.rows) * columns
        reads += psums
        # A chain has a PE for each row of the filter and each of r: each has its weights, and the
        # columns of its own row of the input, and begins every partial sum anew.
        filter_writes += one.filters * one.channels * 9 * one.strip.rows
        ifmap_writes += one.channels * one.images * columns * 3 * one.strip.rows * one.t
        started += psums * 3 * one.r
    assert (found.macs, found.pe_to_pe, found.glb_psum_writes, found.filter_words,
            found.glb_ifmap_reads) == (macs, hops, reads, weights, ifmaps)
    assert (found.filter_spad_writes, found.ifmap_spad_writes) == (filter_writes, ifmap_writes)
    assert found.psum_spad_reads == found.psum_spad_writes == macs - started
    assert found.macs > layer.macs  # zeros at the edges
    even = count_accesses(ALEXNET[4].layer, ALEXNET[4].mapping)
    assert even.macs == ALEXNET[4].layer.macs
    assert 2 * (even.glb_ifmap_reads + even.glb_psum_reads + even.glb_psum_writes) == glb_traffic(
        ALEXNET[4].layer, ALEXNET[4].mapping)
