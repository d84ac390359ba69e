"""What proofs are made of: harnesses around components, and the list of what to prove by them.

A harness drives a component with inputs that are free in every cycle, says by assumptions what its
user promises, and by assertions what it promises. Covers are states that must be reachable: a
harness whose assumptions contradict one another would prove anything.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias, TypeVar
from unittest import mock

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    ClockDomain,
    Cover,
    Module,
    Mux,
    Shape,
    Signal,
    Value,
    ValueCastable,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

__all__ = ["Bug", "Harness", "Proof", "as_signed", "emit"]

ValueLike: TypeAlias = Value | ValueCastable | int
Component = TypeVar("Component", bound=wiring.Component)


@dataclass(frozen=True)
class Bug:
    """An edit of a source file by which a proof must fail.

    Attributes
    ----------
    what : :class:`str`
        What is wrong then.
    old, new : :class:`str`
        Text before and after. The old one is in the file once.
    file : :class:`str`
        File in ``rtl``; empty for that of the component.
    """

    what: str
    old: str
    new: str
    file: str = ""


@dataclass(frozen=True)
class Proof:
    """Something to prove of a component.

    Attributes
    ----------
    name : :class:`str`
        Name, different from all others.
    component : :class:`str`
        File in ``rtl``.
    says : :class:`str`
        What is proved.
    build : callable
        Makes the harness.
    bugs : tuple of :class:`Bug`
        Bugs by which the proof must fail, at least one.
    engine : :class:`str`
        ``"pdr"``, property-directed reachability: unbounded. ``"induction"``: unbounded, by
        ``depth`` cycles. ``"bmc"``, bounded model checking: the first ``depth`` cycles.
        ``"pipeline"``, complete: the component is shown to have as many registers on every path
        from its inputs to :meth:`Harness.result`, and then proved without them.
    depth : :class:`int`
        Cycles of induction or of a bounded proof.
    cover_depth : :class:`int`
        Cycles in which all covers are reached.
    replaced : tuple
        Module, name and value of constants that are smaller in the proof.
    """

    name: str
    component: str
    says: str
    build: Callable[[], "Harness"]
    bugs: tuple[Bug, ...]
    engine: str = "pdr"
    depth: int = 0
    cover_depth: int = 24
    replaced: tuple[tuple[ModuleType, str, Any], ...] = ()

    @property
    def unbounded(self) -> bool:
        """Whether it holds for all cycles."""
        return self.engine != "bmc"


class Harness:
    """A module around the component that is to be proved.

    Parameters
    ----------
    reset : :class:`bool`
        Whether reset may come in any cycle; else it never comes.
    """

    def __init__(self, *, reset: bool = False) -> None:
        self.m = Module()
        self.domain: Any = ClockDomain("sync")
        self.m.domains.sync = self.domain
        self.ports: list[Signal] = [self.domain.clk]
        self._number = 0
        self.reset: Signal = self.domain.rst
        if reset:
            self.ports.append(self.reset)
        else:
            self.m.d.comb += self.reset.eq(0)
        self.started = Signal(name="started")
        self.m.d.sync += self.started.eq(1)

    def add(self, component: Component, name: str = "dut") -> Component:
        """Add a component; its inputs are still to be driven."""
        submodules: Any = self.m.submodules
        submodules[name] = component
        return component

    def free(self, shape: int | Shape, name: str) -> Signal:
        """Return a signal that is anything in every cycle."""
        signal = Signal(shape, name=name)
        self.ports.append(signal)
        return signal

    def drive(self, **inputs: Any) -> None:
        """Drive signals by free ones of the given names."""
        for name, signal in inputs.items():
            value = Value.cast(signal)
            self.m.d.comb += value.eq(self.free(len(value), name))

    def drive_others(self, component: wiring.Component, *but: str) -> None:
        """Drive all inputs of a component but the named ones; streams are left alone."""
        for name, member in component.signature.members.items():
            if member.flow == Flow.In and member.is_port and name not in but:
                self.drive(**{f"free_{name}": getattr(component, name)})

    def constant(self, width: int, name: str) -> Signal:
        """Return a value that is anything, and the same in all cycles."""
        kept = Signal(width, name=f"{name}_kept", reset_less=True)
        known = Signal(name=f"{name}_known", reset_less=True)
        value = Signal(width, name=name)
        self.m.d.comb += value.eq(Mux(known, kept, self.free(width, f"{name}_any")))
        self.m.d.sync += [kept.eq(value), known.eq(1)]
        return value

    def past(self, value: ValueLike, name: str, cycles: int = 1) -> Signal:
        """Return a value as it was some cycles ago; 0 in the first ones."""
        now = Value.cast(value)
        for cycle in range(cycles):
            register = Signal(now.shape(), name=f"{name}_{cycle + 1}_ago")
            self.m.d.sync += register.eq(now)
            now = register
        assert isinstance(now, Signal)
        return now

    def register(self, name: str, value: ValueLike, shape: int | Shape = 1, init: int = 0
                 ) -> Signal:
        """Return a register that takes a value in every cycle."""
        register = Signal(shape, name=name, init=init)
        self.m.d.sync += register.eq(value)
        return register

    def check(self, condition: ValueLike, when: ValueLike = 1) -> None:
        """Assert something in all cycles in which something else holds."""
        self.m.d.comb += Assert(_holds(condition, when), "", src_loc_at=1)

    def assume(self, condition: ValueLike, when: ValueLike = 1) -> None:
        """Assume something in all cycles in which something else holds."""
        self.m.d.comb += Assume(_holds(condition, when), "", src_loc_at=1)

    def result(self, value: ValueLike, latency: int) -> Value:
        """Name what leaves a pipeline, and when; return it as bits."""
        bits = Value.cast(value)
        result = Signal(len(bits), name=f"result_{latency}")
        self.ports.append(result)
        self.m.d.comb += result.eq(bits)
        return result

    def cover(self, condition: ValueLike) -> None:
        """Demand that something can happen."""
        self.m.d.comb += Cover(Value.cast(condition).any(), "", src_loc_at=1)

    def _held(self, valid: ValueLike, ready: ValueLike, payload: ValueLike) -> tuple[Value, Value]:
        """Whether an offer was made and not taken in the last cycle, and whether it still is."""
        self._number += 1
        offer = Cat(Value.cast(valid).any(), Value.cast(payload))
        waited = self.past(offer[0] & ~Value.cast(ready), f"waited_{self._number}")
        before = self.past(offer, f"offer_{self._number}")
        return waited, offer == before

    def check_stream(self, valid: ValueLike, ready: ValueLike, payload: ValueLike) -> None:
        """Assert the rules of a stream: an offer holds until it is taken."""
        waited, same = self._held(valid, ready, payload)
        self.m.d.comb += Assert(_holds(same, waited), "", src_loc_at=1)

    def assume_stream(self, valid: ValueLike, ready: ValueLike, payload: ValueLike) -> None:
        """Assume the rules of a stream."""
        waited, same = self._held(valid, ready, payload)
        self.m.d.comb += Assume(_holds(same, waited), "", src_loc_at=1)

    def check_order(self, name: str, *, push: ValueLike, i: ValueLike, pop: ValueLike,
                    o: ValueLike, capacity: int, show: ValueLike | None = None) -> Signal:
        """Assert that what is pushed is popped: once, in order, unchanged, and nothing else.

        One of all elements is followed, and which one is free, so that it stands for each. What
        the queue is said to hold never exceeds its capacity.

        Parameters
        ----------
        name : :class:`str`
            Beginning of the names of signals.
        push, i, pop, o : value
            An element comes; it; the oldest one goes; it.
        capacity : :class:`int`
            Most elements.
        show : value
            Cycles in which ``o`` must already be what is to be popped; those of ``pop`` if None.

        Returns
        -------
        :class:`Signal`
            Elements that were pushed and not popped.
        """
        m = self.m
        push, pop, i = Value.cast(push), Value.cast(pop), Value.cast(i)
        o = Cat(Value.cast(o))
        marks = self.free(1, f"{name}_marks")
        count = Signal(range(capacity + 2), name=f"{name}_count")
        ahead = Signal(range(capacity + 2), name=f"{name}_ahead")
        followed = Signal(name=f"{name}_followed")
        kept = Signal(len(i), name=f"{name}_kept")
        m.d.sync += count.eq(count + push - pop)
        self.check(count <= capacity)
        self.check(count != 0, when=pop)
        self.check(o == kept, when=followed & (ahead == 0) & (pop if show is None
                                                              else Value.cast(show)))
        with m.If(~followed):
            with m.If(push & marks):
                m.d.sync += [followed.eq(1), kept.eq(i), ahead.eq(count - pop)]
        with m.Elif(pop):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += followed.eq(0)
        self.cover(followed & (ahead == 0) & pop & (kept != 0))
        self.cover(count == capacity)
        return count

    def saturating(self, name: str, run: ValueLike, most: int) -> Signal:
        """Return for how many cycles something has held until the last one, at most ``most``."""
        count = Signal(range(most + 1), name=name)
        self.m.d.sync += count.eq(Mux(Value.cast(run).any(),
                                      Mux(count == most, most, count + 1), 0))
        return count

    def rtlil(self) -> str:
        """Return the harness in Yosys's language."""
        return rtlil.convert(self.m, ports=self.ports, name="top")


def as_signed(value: ValueLike) -> Value:
    """Return bits as a signed number."""
    return Value.cast(value).as_signed()


def emit(proof: Proof) -> str:
    """Return a proof's harness in Yosys's language."""
    with _replaced(proof):
        return proof.build().rtlil()


@contextmanager
def _replaced(proof: Proof) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in proof.replaced:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def _holds(condition: ValueLike, when: ValueLike) -> Value:
    return Value.cast(condition).any() | ~Value.cast(when).any()

