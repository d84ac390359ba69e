"""Registers of an engine's AXI4-Lite port: the one description that everything else follows.

The hardware (:mod:`eieio.rtl.bus.axi_lite_registers`) decodes these addresses, the host driver uses
these constants, and :func:`markdown` and :func:`c_header` print the documentation and a C header.

All registers have 32 bits. An engine has the registers of :data:`REGISTERS` and one for each of its
stall counters (:attr:`eieio.model.engine.Engine.counters`), see :func:`register_map`.
"""

from enum import IntEnum, IntFlag

from eieio.model.errors import InputError
from eieio.model.register import Access, Field, Register
from eieio.model.registry import numbered

__all__ = [
    "ADDRESS_WIDTH", "CLOCK_HZ", "CONFIG", "CONTROL", "CYCLES", "ENGINE", "ERROR",
    "ERRORS", "ID", "ID_VALUE", "INFERENCES", "INPUT_WIDTH", "INTERRUPT_ENABLE",
    "INTERRUPT_STATUS", "MACS_HIGH", "MACS_LOW", "OUTPUT_WIDTH", "REGISTERS", "SECOND_ENGINE",
    "STATUS",
    "VERSION", "Access", "Control", "ErrorCode", "Field", "Interrupt", "Register", "ShellError",
    "Status", "c_header", "error_name", "markdown", "register_map", "version_word",
]

#: Bits of a byte address on the AXI4-Lite port.
ADDRESS_WIDTH = 12

#: What is added to an error's code if it is of the second of two engines behind one shell.
SECOND_ENGINE = 8

#: What the register ID holds: "EEIO", the first letter in the lowest byte.
ID_VALUE = 0x4F494545


class Control(IntFlag):
    """Bits of the register CONTROL."""

    RUN = 1 << 0
    CLEAR_ERROR = 1 << 1
    SOFT_RESET = 1 << 2
    START = 1 << 3


class Status(IntFlag):
    """Bits of the register STATUS."""

    BUSY = 1 << 0
    LOADED = 1 << 1
    ERROR = 1 << 2
    INPUT_ACTIVE = 1 << 3
    IMAGE_ACTIVE = 1 << 4
    START_PENDING = 1 << 5
    OUTPUT_WAITING = 1 << 6
    INPUT_PENDING = 1 << 7


class Interrupt(IntFlag):
    """Bits of the registers INTERRUPT_ENABLE and INTERRUPT_STATUS."""

    INFERENCE_DONE = 1 << 0
    ERROR = 1 << 1
    IMAGE_LOADED = 1 << 2


class ErrorCode(IntEnum):
    """Errors that an engine reports when it refuses something."""

    NONE = 0
    IMAGE_TARGET = 1
    """A section names a target or unit that does not exist; the rest of the image is dropped."""
    IMAGE_ADDRESS = 2
    """A section reaches beyond its memory; the rest of the image is dropped."""
    IMAGE_LENGTH = 3
    """The image ends within a section."""
    INPUT_SHORT = 4
    """An input ends before the first layer has all its activations; it is dropped."""
    INPUT_LONG = 5
    """An input goes on after the first layer has all its activations; it is dropped."""
    IMAGE_LAYERS = 6
    """The number of layers is 0 or more than the engine can hold; the rest of the image is dropped.
    """
    MEMORY_PARITY = 7
    """A word of a memory has the wrong parity; the engine has been reset."""
    IMAGE_PARTS = 8
    """An image for two engines does not have the parts that its header tells."""
    SECOND_IMAGE_TARGET = 9
    """From here on, the same of the second of two engines: 8 more."""
    SECOND_IMAGE_ADDRESS = 10
    SECOND_IMAGE_LENGTH = 11
    SECOND_INPUT_SHORT = 12
    SECOND_INPUT_LONG = 13
    SECOND_IMAGE_LAYERS = 14
    WATCHDOG = 15
    """Nothing has moved for too long; the engine has been reset."""


class ShellError(IntEnum):
    """Errors that the shell reports; codes below are the engine's."""

    FRAME_MAGIC = 16
    FRAME_CONFIGURATION = 17
    FRAME_EMPTY = 18
    FRAME_SHORT = 19
    FRAME_LONG = 20
    FRAME_CHECKSUM = 21
    IMAGE_INCOMPLETE = 22
    INPUT_WITHOUT_IMAGE = 23
    START_WITHOUT_IMAGE = 24
    CODE_LENGTHS = 25
    CODE_PREFIX = 26
    CODE_SHORT = 27
    CODE_LONG = 28


#: What each value of the register ERROR means.
ERRORS: dict[ErrorCode | ShellError, str] = {
    ErrorCode.NONE: "No error.",
    ErrorCode.IMAGE_TARGET: "A section of the image names a memory or a unit that does not exist.",
    ErrorCode.IMAGE_ADDRESS: "A section of the image reaches beyond its memory.",
    ErrorCode.IMAGE_LENGTH: "The image ends within a section.",
    ErrorCode.INPUT_SHORT: "An input ended too early; it was dropped.",
    ErrorCode.INPUT_LONG: "An input went on for too long; it was dropped.",
    ErrorCode.IMAGE_LAYERS: "The image has no layers or more than the engine can hold.",
    ErrorCode.MEMORY_PARITY:
        "A word that was read of a memory had the wrong parity. Inferences under way were given "
        "up, and nothing is loaded now.",
    ErrorCode.IMAGE_PARTS:
        "An image for two engines does not have the parts that its header tells.",
    **{code: f"{ErrorCode(code - SECOND_ENGINE).name}, of the second of two engines."
       for code in ErrorCode if SECOND_ENGINE < code < ErrorCode.WATCHDOG},
    ErrorCode.WATCHDOG:
        "Nothing moved for as many cycles as the engine's watchdog allows. Inferences under way "
        "were given up, and nothing is loaded now.",
    ShellError.FRAME_MAGIC:
        "What came as an image does not begin with the magic word of one. It was dropped; an image "
        "loaded before stays.",
    ShellError.FRAME_CONFIGURATION:
        "The image is for another engine or configuration. It was dropped; an image loaded before "
        "stays.",
    ShellError.FRAME_EMPTY:
        "The image has no words. It was dropped; an image loaded before stays.",
    ShellError.FRAME_SHORT:
        "The image ended (TLAST) before as many words as it announced. If any had been taken, "
        "nothing is loaded now.",
    ShellError.FRAME_LONG:
        "The image goes on (no TLAST) after as many words as it announced. Nothing is loaded now.",
    ShellError.FRAME_CHECKSUM: "The image is damaged: its CRC is wrong. Nothing is loaded now.",
    ShellError.IMAGE_INCOMPLETE:
        "The image is undamaged, but leaves the engine without anything to run. Nothing is loaded "
        "now.",
    ShellError.INPUT_WITHOUT_IMAGE: "An input came while no image was loaded; it was dropped.",
    ShellError.START_WITHOUT_IMAGE: "START was written while no image was loaded.",
    ShellError.CODE_LENGTHS:
        "A table of a coded image has lengths that no complete code has. Nothing is loaded now.",
    ShellError.CODE_PREFIX:
        "A coded image has bits that begin no code. Nothing is loaded now.",
    ShellError.CODE_SHORT:
        "A coded image ended before it gave as many words as it announced. Nothing is loaded now.",
    ShellError.CODE_LONG:
        "A coded image goes on after it gave as many words as it announced. Nothing is loaded now.",
}


def _interrupts(access: Access) -> tuple[Field, ...]:
    return (
        Field(Interrupt.INFERENCE_DONE, "An inference ended; its output waits to be taken.",
              access),
        Field(Interrupt.ERROR, "ERROR went from 0 to something else.", access),
        Field(Interrupt.IMAGE_LOADED, "An image was accepted.", access),
    )


ID = Register("ID", 0x00, Access.READ_ONLY, '"EEIO", the first letter in the lowest byte.',
              ID_VALUE)
VERSION = Register("VERSION", 0x04, Access.READ_ONLY,
                   "Version: major in bits 31 to 16, minor in 15 to 8, patch in 7 to 0.", None)
ENGINE = Register("ENGINE", 0x08, Access.READ_ONLY,
                  "Kind of the engine", None)
CONFIG = Register("CONFIG", 0x0C, Access.READ_ONLY,
                  "Fingerprint of the engine's configuration, which an image must name.", None)
INPUT_WIDTH = Register("INPUT_WIDTH", 0x10, Access.READ_ONLY,
                       "Bits of an input beat that the engine uses; TDATA is whole bytes.", None)
OUTPUT_WIDTH = Register("OUTPUT_WIDTH", 0x14, Access.READ_ONLY,
                        "Bits of an output beat that the engine uses; TDATA is whole bytes.", None)
CLOCK_HZ = Register("CLOCK_HZ", 0x18, Access.READ_ONLY,
                    "Clock frequency in hertz; 0 if the design does not know.", None)
CONTROL = Register("CONTROL", 0x20, Access.READ_WRITE, "What the engine shall do.", Control.RUN, (
    Field(Control.RUN, "An inference begins as soon as its input has arrived.", Access.READ_WRITE),
    Field(Control.CLEAR_ERROR, "Return ERROR to 0.", Access.WRITE_ONE_TO_ACT),
    Field(Control.SOFT_RESET,
          "Reset engine, streams and registers. Whatever is under way is given up, the image is "
          "forgotten, and an output that was being sent is ended by a beat of zeros.",
          Access.WRITE_ONE_TO_ACT),
    Field(Control.START,
          "While RUN is 0, begin one inference: the one whose input has arrived, or else arrives "
          "next. At most one START is remembered, until another image comes.",
          Access.WRITE_ONE_TO_ACT),
))
STATUS = Register("STATUS", 0x24, Access.READ_ONLY, "What the engine does.", None, (
    Field(Status.BUSY, "An inference is under way or its output is being sent, or the engine "
          "clears its memories after reset. Not while an input waits for RUN or START.",
          Access.READ_ONLY),
    Field(Status.LOADED, "An image is loaded.", Access.READ_ONLY),
    Field(Status.ERROR, "ERROR is not 0.", Access.READ_ONLY),
    Field(Status.INPUT_ACTIVE, "An input has begun and not ended.", Access.READ_ONLY),
    Field(Status.IMAGE_ACTIVE, "An image has begun, and is neither accepted nor refused yet.",
          Access.READ_ONLY),
    Field(Status.START_PENDING, "A START waits for its input.", Access.READ_ONLY),
    Field(Status.OUTPUT_WAITING, "A beat of output waits to be taken.", Access.READ_ONLY),
    Field(Status.INPUT_PENDING, "An input has ended, and its inference has not begun: it waits for "
          "the one before, or for RUN or START.", Access.READ_ONLY),
))
ERROR = Register("ERROR", 0x28, Access.READ_ONLY,
                 "First error since reset or CLEAR_ERROR; see the table of errors.")
INTERRUPT_ENABLE = Register(
    "INTERRUPT_ENABLE", 0x2C, Access.READ_WRITE,
    "The interrupt output is 1 while a bit is 1 both here and in INTERRUPT_STATUS.", 0,
    _interrupts(Access.READ_WRITE))
INTERRUPT_STATUS = Register(
    "INTERRUPT_STATUS", 0x30, Access.WRITE_ONE_TO_CLEAR, "What has happened.", 0,
    _interrupts(Access.WRITE_ONE_TO_CLEAR))
CYCLES = Register("CYCLES", 0x40, Access.READ_ONLY,
                  "Cycles of the last inference, which is the last one that ended: this and the "
                  "counters below hold while the next one runs, until it ends; behind a serial "
                  "line, until it begins.")
MACS_LOW = Register("MACS_LOW", 0x44, Access.READ_ONLY,
                    "Multiplications of the last inference, bits 31 to 0.")
MACS_HIGH = Register("MACS_HIGH", 0x48, Access.READ_ONLY,
                     "Multiplications of the last inference, bits 47 to 32.")
INFERENCES = Register("INFERENCES", 0x4C, Access.READ_ONLY,
                      "Inferences that ended since reset, modulo 2^32: each counts when its output "
                      "begins to be offered, and the other counters are then its own.")

#: Registers that every engine has, by rising address.
REGISTERS = (
    ID, VERSION, ENGINE, CONFIG, INPUT_WIDTH, OUTPUT_WIDTH, CLOCK_HZ, CONTROL, STATUS, ERROR,
    INTERRUPT_ENABLE, INTERRUPT_STATUS, CYCLES, MACS_LOW, MACS_HIGH, INFERENCES,
)


def register_map(engine: str) -> tuple[Register, ...]:
    """Return all registers of an engine, by rising address.

    Parameters
    ----------
    engine : :class:`str`
        Name of the engine.

    Raises
    ------
    InputError
        If there is no such engine, or it has no registers.
    """
    known = numbered()
    if engine not in known:
        raise InputError(f"Engine must be one of {', '.join(known)}, not {engine!r}")
    return REGISTERS + known[engine].counters


def version_word(version: str) -> int:
    """Return a version such as ``"1.2.3"`` as the register VERSION holds it.

    What follows the three numbers, as in ``"1.2.3rc1"``, is left out.

    Raises
    ------
    InputError
        If it is no such version, or a number does not fit.
    """
    numbers = []
    for part in version.split(".")[:3]:
        digits = part[:len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits) if digits else -1)
    limits = (0xFFFF, 0xFF, 0xFF)
    if len(numbers) != 3 or any(not 0 <= number <= limit
                                for number, limit in zip(numbers, limits, strict=True)):
        raise InputError(f"Version must be three numbers, up to 65535.255.255, not {version!r}")
    major, minor, patch = numbers
    return major << 16 | minor << 8 | patch


def error_name(code: int) -> str:
    """Return the name of an error code, or a text that says it has none."""
    for error in ERRORS:
        if error == code:
            return error.name
    return f"unknown error {code}"


def markdown() -> str:
    """Return the tables of registers and errors of ``docs/registers.md``."""
    lines = ["| address | name | access | after reset | meaning |", "|---|---|---|---|---|"]
    rows = [(register, "") for register in REGISTERS]
    rows += [(register, f" ({name} engine)")
             for name, engine in numbered().items() for register in engine.counters]
    kinds = ", ".join(f"{engine.number} {name}" for name, engine in numbered().items())
    rows = [(register, f": {kinds}." if register is ENGINE else note) for register, note in rows]
    for register, note in rows:
        reset = "" if register.reset is None else f"`0x{int(register.reset):X}`"
        lines.append(f"| `0x{register.address:02X}` | `{register.name}` | {register.access.value} "
                     f"| {reset} | {register.description}{note} |")
        lines += [f"| bit {field.bit} | `{field.name}` | {field.access.value} | "
                  f"| {field.description} |" for field in register.fields]
    lines += ["", "| error | name | meaning |", "|---|---|---|"]
    lines += [f"| {int(code)} | `{code.name}` | {text} |" for code, text in ERRORS.items()]
    return "\n".join(lines) + "\n"


def c_header() -> str:
    """Return a C header with the addresses, bits and error codes."""
    lines = ["/* Registers of an eieio engine. Generated by eieio; do not edit. */",
             "#ifndef EIEIO_REGISTERS_H", "#define EIEIO_REGISTERS_H", ""]

    def define(name: str, value: int, form: str = "0x{:02X}") -> None:
        lines.append(f"#define EIEIO_{name} {form.format(int(value))}u")

    define("ID_VALUE", ID_VALUE, "0x{:08X}")
    for name, engine in numbered().items():
        define(f"ENGINE_{name.upper()}", engine.number or 0, "{}")
    lines += ["", "/* Byte addresses */"]
    for register in REGISTERS:
        define(f"{register.name}_ADDRESS", register.address)
    for name, engine in numbered().items():
        for register in engine.counters:
            define(f"{name.upper()}_{register.name}_ADDRESS", register.address)
    lines += ["", "/* Bits */"]
    for register in REGISTERS:
        for field in register.fields:
            define(f"{register.name}_{field.name}", field.flag)
    lines += ["", "/* Values of ERROR */"]
    for code in ERRORS:
        define(f"ERROR_{code.name}", code, "{}")
    lines += ["", "#endif"]
    return "\n".join(lines) + "\n"
