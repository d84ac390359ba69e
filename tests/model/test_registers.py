"""The description of the registers, and what is printed of it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eieio.model import registers
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.registers import (
    ADDRESS_WIDTH,
    ERRORS,
    Access,
    Control,
    ErrorCode,
    Interrupt,
    Register,
    ShellError,
    Status,
    c_header,
    error_name,
    markdown,
    register_map,
    version_word,
)
from eieio.model.registry import engine_of, numbered
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig

every_engine = pytest.mark.parametrize("engine", numbered())


@every_engine
def test_addresses(engine: str) -> None:
    registers_of_engine = register_map(engine)
    addresses = [register.address for register in registers_of_engine]
    assert addresses == sorted(set(addresses))
    assert all(address % 4 == 0 for address in addresses)
    assert max(addresses) < 1 << ADDRESS_WIDTH
    assert len({register.name for register in registers_of_engine}) == len(addresses)


@every_engine
def test_every_register_is_reachable_by_name(engine: str) -> None:
    for register in registers.REGISTERS:
        assert getattr(registers, register.name) is register
        assert register.name in registers.__all__


def test_addresses_are_stable() -> None:
    """Drivers in the field know these."""
    assert {register.name: register.address for register in registers.REGISTERS} == {
        "ID": 0x00, "VERSION": 0x04, "ENGINE": 0x08, "CONFIG": 0x0C, "INPUT_WIDTH": 0x10,
        "OUTPUT_WIDTH": 0x14, "CLOCK_HZ": 0x18, "CONTROL": 0x20, "STATUS": 0x24, "ERROR": 0x28,
        "INTERRUPT_ENABLE": 0x2C, "INTERRUPT_STATUS": 0x30, "CYCLES": 0x40, "MACS_LOW": 0x44,
        "MACS_HIGH": 0x48, "INFERENCES": 0x4C}
    assert [int(bit) for bit in Control] == [1, 2, 4, 8]
    assert [int(bit) for bit in Status] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert [int(bit) for bit in Interrupt] == [1, 2, 4]
    assert [int(code) for code in ShellError] == list(range(16, 29))


def test_fields() -> None:
    for register in registers.REGISTERS:
        assert len({field.flag for field in register.fields}) == len(register.fields)
        for field in register.fields:
            assert 1 << field.bit == field.flag
            assert field.name == field.flag.name
            assert (field.access == Access.READ_ONLY) == (register.access == Access.READ_ONLY)
    for register, flags in ((registers.CONTROL, Control), (registers.STATUS, Status),
                            (registers.INTERRUPT_ENABLE, Interrupt),
                            (registers.INTERRUPT_STATUS, Interrupt)):
        assert [field.flag for field in register.fields] == list(flags)


def test_errors() -> None:
    assert list(ERRORS) == [*ErrorCode, *ShellError]
    assert [int(code) for code in ERRORS] == sorted({int(code) for code in ERRORS})
    assert max(ErrorCode) < 16 <= min(ShellError)
    assert error_name(4) == "INPUT_SHORT"
    assert error_name(21) == "FRAME_CHECKSUM"
    for code in range(1, 7):
        assert error_name(8 + code) == f"SECOND_{error_name(code)}"
    assert error_name(255) == "unknown error 255"


def test_version_word() -> None:
    assert version_word("1.2.3") == 0x00010203
    assert version_word("0.10.255rc1") == 0x00000AFF
    for version in ("", "1.2", "1.x.3", "65536.0.0", "1.256.0", "1.0.256", "-1.0.0"):
        with pytest.raises(InputError, match=re.escape(
                f"Version must be three numbers, up to 65535.255.255, not {version!r}")):
            version_word(version)


def test_engines() -> None:
    assert engine_of(SparseConfig()).name == "sparse"
    assert engine_of(SystolicConfig()).name == "systolic"
    with pytest.raises(InputError, match="Configuration must be of an engine"):
        engine_of(EngineConfig())
    with pytest.raises(InputError, match="Engine must be one of sparse, systolic, mixed, "
                                         "dadiannao, not 'other'"):
        register_map("other")


def test_documentation_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "registers.md"
    assert markdown() in path.read_text(encoding="utf-8"), (
        "docs/registers.md must hold what 'eieio registers' prints")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_c_header(tmp_path: Path) -> None:
    """A C compiler takes the header, and agrees on every address, bit and error code."""
    values: dict[str, int] = {"EIEIO_ID_VALUE": registers.ID_VALUE}

    def add(prefix: str, register: Register) -> None:
        values[f"EIEIO_{prefix}{register.name}_ADDRESS"] = register.address
        for field in register.fields:
            values[f"EIEIO_{register.name}_{field.name}"] = int(field.flag)

    for register in registers.REGISTERS:
        add("", register)
    for name, engine in numbered().items():
        for register in engine.counters:
            add(f"{name.upper()}_", register)
    values |= {f"EIEIO_ENGINE_{name.upper()}": engine.number or 0
               for name, engine in numbered().items()}
    values |= {f"EIEIO_ERROR_{code.name}": int(code) for code in ERRORS}
    header = c_header()
    assert set(re.findall(r"(?m)^#define (EIEIO_\w+) ", header)) == set(values)
    (tmp_path / "eieio_registers.h").write_text(header, encoding="utf-8")
    checks = "".join(f'_Static_assert({name} == {value}u, "{name}");\n'
                     for name, value in values.items())
    (tmp_path / "check.c").write_text(
        f'#include "eieio_registers.h"\n#include "eieio_registers.h"\n{checks}', encoding="utf-8")
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "check.c"],
                   cwd=tmp_path, check=True)
