"""Node: tiles, central buffer, and what drives them."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Stage1, Stage2, Stage3, Target
from eieio.rtl.dadiannao.collector import Collector
from eieio.rtl.dadiannao.fields import field
from eieio.rtl.dadiannao.reader import Reader, step_layout
from eieio.rtl.dadiannao.sequencer import Sequencer
from eieio.rtl.dadiannao.third_stage import ThirdStage
from eieio.rtl.dadiannao.tile import Tile, sum_latency
from eieio.rtl.emit import shared
from eieio.rtl.winograd.delay import delayed

__all__ = ["Node"]


class Node(wiring.Component):
    """Runs its program over its central buffer, and passes words on to the next node.

    Parameters
    ----------
    config : DaDianNaoConfig
        Configuration.

    Attributes
    ----------
    read_latency : :class:`int`
        Cycles from ``get_addr`` to ``got``.

    Members
    -------
    load_valid, load_target, load_unit, load_addr, load_data : ``In``
        Write an element of the image; the unit is one of this node's tiles.
    count : ``In``
        Instructions of the program. Held.
    begin : ``In(1)``
        Run it.
    finished : ``Out(1)``
        It has ended.
    put_valid, put_addr, put_data : ``In``
        Write a word into the central buffer, while nothing runs.
    get, get_addr, got : ``In``, ``In``, ``Out``
        Read one, while nothing runs.
    link_i_valid, link_i_data, link_i_ready : ``In``, ``In``, ``Out``
        Words from the node before; ready when it may begin to send.
    link_o_valid, link_o_data, link_o_ready : ``Out``, ``Out``, ``In``
        The same for the next node.
    macs : ``Out(48)``
        Multiplications since ``begin``.
    nbout_stalls, central_reads, central_writes, nbin_reads : ``Out(32)``
        Since then, cycles that waited for NBout, rows read of and words written into the central
        buffer by the program, and rows that tiles read of their NBin.
    instruction_done, word_valid, word_addr, word_data : ``Out``
        Monitor: an instruction ends; a word is written into the central buffer by the program.
    """

    load_valid: Signal
    load_target: Signal
    load_unit: Signal
    load_addr: Signal
    load_data: Signal
    count: Signal
    begin: Signal
    finished: Signal
    put_valid: Signal
    put_addr: Signal
    put_data: Signal
    get: Signal
    get_addr: Signal
    got: Signal
    link_i_valid: Signal
    link_i_data: Signal
    link_i_ready: Signal
    link_o_valid: Signal
    link_o_data: Signal
    link_o_ready: Signal
    macs: Signal
    nbout_stalls: Signal
    central_reads: Signal
    central_writes: Signal
    nbin_reads: Signal
    instruction_done: Signal
    word_valid: Signal
    word_addr: Signal
    word_data: Signal

    read_latency = 3

    def __init__(self, config: DaDianNaoConfig) -> None:
        self.config = self.parameters = config
        word = config.outputs * config.activation_width
        self._tiles = [Tile(config) for _ in range(config.tiles)]
        addr = unsigned(ceil_log2(config.central_words))
        super().__init__({
            "load_valid": In(1), "load_target": In(unsigned(4)), "load_unit": In(unsigned(16)),
            "load_addr": In(unsigned(32)), "load_data": In(unsigned(32)),
            "count": In(range(config.program_depth + 1)),
            "begin": In(1), "finished": Out(1),
            "put_valid": In(1), "put_addr": In(addr), "put_data": In(unsigned(word)),
            "get": In(1), "get_addr": In(addr), "got": Out(unsigned(word)),
            "link_i_valid": In(1), "link_i_data": In(unsigned(word)), "link_i_ready": Out(1),
            "link_o_valid": Out(1), "link_o_data": Out(unsigned(word)), "link_o_ready": In(1),
            "macs": Out(unsigned(48)), "nbout_stalls": Out(unsigned(32)),
            "central_reads": Out(unsigned(32)), "central_writes": Out(unsigned(32)),
            "nbin_reads": Out(unsigned(32)),
            "instruction_done": Out(1), "word_valid": Out(1), "word_addr": Out(addr),
            "word_data": Out(unsigned(word)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.reader = reader = Reader(config)
        m.submodules.collector = collector = Collector(config)
        m.submodules.third_stage = third = ThirdStage(config)
        instruction = sequencer.instruction
        for component in (reader, collector, third):
            m.d.comb += component.instruction.eq(instruction)

        def loads(target: Target) -> Signal:
            signal = Signal(name=f"load_{target.name.lower()}")
            m.d.comb += signal.eq(self.load_valid & (self.load_target == target))
            return signal

        synapses = loads(Target.SYNAPSES)
        m.d.comb += [
            sequencer.load_valid.eq(loads(Target.PROGRAM)),
            sequencer.load_addr.eq(self.load_addr),
            sequencer.load_data.eq(self.load_data),
            sequencer.count.eq(self.count),
            sequencer.begin.eq(self.begin),
            self.finished.eq(sequencer.finished),
            third.load_parameter.eq(loads(Target.PARAMETERS)),
            third.load_table.eq(loads(Target.TABLE)),
            third.load_addr.eq(self.load_addr),
            third.load_data.eq(self.load_data),
            reader.start.eq(sequencer.start),
            collector.start.eq(sequencer.start),
            reader.release.eq(collector.release),
        ]

        # The central buffer: rows are read, words are written.
        row_bits = ceil_log2(config.row_words)
        width = config.activation_width
        m.submodules.central = central = memory.Memory(
            shape=unsigned(config.inputs * width), depth=config.central_depth, init=[],
            attrs={"no_rw_check": "1"})
        put = central.write_port(granularity=config.outputs * width)
        get = central.read_port()
        forward, receive = field(instruction, "forward"), field(instruction, "receive")
        received, arriving = Signal(17), Signal()
        write_valid, write_addr = Signal(), Signal.like(self.put_addr)
        write_data = Signal.like(self.put_data)
        m.d.comb += [
            write_valid.eq(third.write_valid | arriving),
            write_addr.eq(third.write_addr), write_data.eq(third.write_data),
        ]
        with m.If(self.put_valid):
            m.d.comb += [write_addr.eq(self.put_addr), write_data.eq(self.put_data)]
        if config.nodes > 1:
            with m.Elif(arriving):
                m.d.comb += [write_addr.eq(field(instruction, "write_addr") + received),
                             write_data.eq(self.link_i_data)]
        read_addr = Mux(self.get, self.get_addr, reader.read_addr)
        chosen = Signal(config.row_words)
        m.d.comb += [
            chosen.eq(1 << write_addr[:row_bits] if row_bits else 1),
            put.en.eq(Mux(write_valid | self.put_valid, chosen, 0)),
            put.addr.eq(write_addr[row_bits:]),
            put.data.eq(write_data.replicate(config.row_words)),
            get.addr.eq(read_addr[row_bits:]),
        ]

        # What is read, as the tiles take it.
        step = Signal(step_layout(config))
        row, word = (Signal(size * width, name=name, reset_less=True) for name, size in
                     (("row", config.inputs), ("word", config.outputs)))
        inside = delayed(m, reader.inside | self.get, 1, "inside", reset_less=True)
        selected = get.data
        if row_bits:
            number = delayed(m, read_addr[:row_bits], 1, "number", reset_less=True)
            selected = get.data.word_select(number, config.outputs * width)
        maximum = field(instruction, "stage2") == Stage2.MAXIMUM
        outside = Mux(maximum & ~self.get, Const(1 << (width - 1), width), 0)
        m.d.sync += [
            row.eq(Mux(inside, get.data, 0)),
            word.eq(Mux(inside, selected, outside.replicate(config.outputs))),
        ]
        m.d.comb += [
            step.as_value().eq(delayed(m, reader.step.as_value(), 2, "step")),
            self.got.eq(delayed(m, word, 1, "got", reset_less=True)),
        ]

        across = field(instruction, "across")
        sb_addr = delayed(m, reader.sb_addr, 1, "sb_addr", reset_less=True)
        early = Signal(step_layout(config))
        m.d.comb += early.as_value().eq(delayed(m, reader.step.as_value(), 1, "early_step"))
        collected = []
        for number, tile in enumerate(self._tiles):
            m.submodules[f"tile_{number}"] = shared(tile, platform)
            valid = Signal(name=f"valid_{number}")
            m.d.sync += valid.eq(early.valid & ~forward & (~across | (early.tile == number)))
            m.d.comb += [
                tile.load_valid.eq(synapses & (self.load_unit == number)),
                tile.load_addr.eq(self.load_addr),
                tile.load_data.eq(self.load_data),
                tile.instruction.eq(instruction),
                tile.sb_addr.eq(sb_addr),
                tile.step.eq(step),
                tile.step.valid.eq(valid),
                tile.row.eq(row),
                tile.word.eq(word),
                tile.collect_addr.eq(collector.nbout_addr),
            ]
            collected.append(tile.sums.as_value())

        # Sums on their way to the third stage.
        tile_number = delayed(m, collector.tile, 1, "tile_number", reset_less=True)
        sums = Signal(len(collected[0]), reset_less=True)
        m.d.sync += sums.eq(Array(collected)[tile_number] if config.tiles > 1 else collected[0])
        m.d.comb += [
            third.valid.eq(collector.valid),
            third.parameter_addr.eq(collector.parameter_addr),
            third.word.eq(collector.word),
            third.addr.eq(collector.addr),
            third.last.eq(collector.last),
            third.sums.as_value().eq(sums),
        ]

        # Ends of groups and of the instruction.
        latency = sum_latency(config)
        computing = step.valid & ~forward
        group_done = delayed(m, computing & step.last, latency, "group_done")
        waits = field(instruction, "stage3") == Stage3.NONE
        computed = delayed(m, computing & step.end & waits, latency, "computed")
        m.d.comb += collector.group_done.eq(group_done)
        forwarded = Signal()
        m.d.comb += [
            self.instruction_done.eq(sequencer.done), self.word_valid.eq(write_valid),
            self.word_addr.eq(write_addr), self.word_data.eq(write_data),
            reader.enable.eq(1),
            sequencer.done.eq(third.done | computed | forwarded),
        ]
        if config.nodes > 1:
            # Words to the next node go as soon as it is ready to take all of them.
            go, sent = Signal(), Signal()
            ready = Signal()
            m.d.comb += [
                arriving.eq(self.link_i_valid & forward & receive),
                reader.enable.eq(~forward | go),
                self.link_i_ready.eq(ready),
                self.link_o_data.eq(word),
                self.link_o_valid.eq(step.valid & forward),
                forwarded.eq(forward & sent & (received == field(instruction, "groups") + 1)),
            ]
            m.d.sync += go.eq(forward & (go | self.link_o_ready))
            with m.If(self.link_i_valid & forward):
                m.d.sync += [received.eq(received + 1), ready.eq(0)]
            with m.If(step.valid & step.end & forward):
                m.d.sync += sent.eq(1)
            with m.If(forwarded):
                m.d.sync += [go.eq(0), sent.eq(0), received.eq(0)]
            with m.If(sequencer.start):
                m.d.sync += [ready.eq(forward), go.eq(0), sent.eq(0), received.eq(0)]

        # Counters.
        multiplies = step.valid & ~forward & (field(instruction, "stage1") == Stage1.MULTIPLY)
        tile_macs = config.inputs * config.outputs
        counted = Signal()
        m.d.sync += counted.eq(multiplies)
        with m.If(counted):
            m.d.sync += self.macs.eq(self.macs + Mux(across, tile_macs,
                                                     config.tiles * tile_macs))
        for counter, event in ((self.nbout_stalls, reader.stalled),
                               (self.central_reads, reader.read_en),
                               (self.central_writes, third.write_valid | arriving),
                               (self.nbin_reads, step.valid & step.use)):
            amount = config.tiles if counter is self.nbin_reads else 1
            with m.If(event):
                m.d.sync += counter.eq(counter + amount)
        with m.If(self.begin):
            m.d.sync += [counter.eq(0) for counter in (
                self.macs, self.nbout_stalls, self.central_reads, self.central_writes,
                self.nbin_reads)]
        return m
