"""Running a plan with programs that stand for the tools, and reading what tools report."""

import json
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from eieio.model.area import Family
from eieio.model.errors import InputError
from eieio.rtl.boards import build
from eieio.rtl.boards.find import find_board

RECORDED = Path(__file__).parent / "recorded"


def plan_of(*commands: list[str]) -> build.Plan:
    return build.Plan({"top.ys": "# nothing\n"}, list(commands))


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that leave recorded outputs of the real ones in the folder they run in."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for variable, what in (
            ("YOSYS", f"cp {RECORDED}/ecp5/top.json {RECORDED}/ecp5/top.rpt ."),
            ("NEXTPNR_ECP5", f"cp {RECORDED}/ecp5/top.report.json ."),
            ("ECPPACK", "printf bitstream > top.bit")):
        monkeypatch.setenv(variable, str(script(folder / variable.lower(), what)))
    return folder


COMMANDS = (["yosys", "top.ys"], ["nextpnr-ecp5", "--seed", "1"], ["ecppack", "top.config"])


def test_runs_all_steps(tools: Path, tmp_path: Path) -> None:
    steps = []

    def progress(step: str) -> AbstractContextManager[None]:
        steps.append(step)
        return nullcontext()

    report, bitstream = build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS),
                                       tmp_path / "new" / "build", progress=progress)
    assert steps == ["Synthesizing", "Placing and routing", "Packing the bitstream"]
    assert bitstream is not None
    assert bitstream == tmp_path / "new" / "build" / "top.bit"
    assert bitstream.read_text() == "bitstream"
    assert report.met


@pytest.mark.parametrize("family", ["ecp5", "ice40", "gowin"])
def test_reads_reports(family: Family) -> None:
    report = build.read_report(family, RECORDED / family)
    expected = json.loads((RECORDED / family / "expected.json").read_text())
    for name, value in expected.items():
        assert getattr(report, name) == value, name
    assert all(report.critical_path)


def test_instantiated_multipliers_stay() -> None:
    """On iCE40 they have another name while Yosys infers multipliers."""
    board = find_board("icebreaker")
    plan = build.make_plan(board, build.clock_setting(board), {"system.v": ""})
    script = plan.files["top.ys"].splitlines()
    steps = [script.index(line) for line in (
        "rename SB_MAC16 KEPT_MAC16", "chtype -set KEPT_MAC16 t:SB_MAC16",
        "synth_ice40 -dsp -top top -run begin:map_ffs", "synth_ice40 -dsp -run map_ffs: -top top",
        "chtype -set SB_MAC16 t:KEPT_MAC16")]
    assert steps == sorted(steps)


def test_no_bitstream_if_timing_fails(tools: Path, tmp_path: Path) -> None:
    report = json.loads((RECORDED / "ecp5" / "top.report.json").read_text())
    for clock in report["fmax"].values():
        clock["constraint"] = clock["achieved"] + 0.1
    (tools / "slow.json").write_text(json.dumps(report))
    script(tools / "nextpnr_ecp5", f"cp {tools}/slow.json top.report.json")
    folder = tmp_path / "build"
    got, bitstream = build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS), folder)
    assert not got.met
    assert bitstream is None
    assert not (folder / "top.bit").exists()


def test_reports_the_error_of_a_tool(tools: Path, tmp_path: Path) -> None:
    script(tools / "nextpnr_ecp5", "echo Info: packing; echo 'ERROR: Unable to place' >&2; exit 3")
    with pytest.raises(build.SynthesisError,
                       match=r"^nextpnr_ecp5 failed: ERROR: Unable to place \(logs: .*\)$"):
        build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS), tmp_path / "build")


def test_refuses_two_drivers(tools: Path, tmp_path: Path) -> None:
    script(tools / "yosys", "echo 'Warning: Driver-driver conflict for \\p [0] between cells' "
           "> top.rpt")
    with pytest.raises(build.SynthesisError, match=r"^Yosys found a signal with two drivers: "):
        build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS), tmp_path / "build")


def test_goes_the_older_way_to_abc9_if_the_newer_one_mixes_up_signals(
        tools: Path, tmp_path: Path) -> None:
    script(tools / "yosys", f"cp {RECORDED}/ecp5/top.json {RECORDED}/ecp5/top.rpt .\n"
           "echo $@ >> runs; head -1 top.ys | grep -q '^scratchpad -set abc9.xaiger 1$' ||\n"
           "echo 'Warning: multiple conflicting drivers for top.banks [1]:' >> top.rpt")
    folder = tmp_path / "build"
    report, _ = build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS), folder)
    assert report.met
    assert (folder / "runs").read_text() == "top.ys\n" * 2


def test_refuses_a_missing_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(InputError, match=r"^Synthesis needs the program 'no-such-yosys', which "
                       r"is not installed$"):
        build.run_plan(find_board("ulx3s-85f"), plan_of(*COMMANDS), tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_dfu_suffix(tools: Path, tmp_path: Path) -> None:
    suffix = ["dfu-suffix", "-v", "1209", "-p", "5af0", "-a", "top.bit"]
    _, bitstream = build.run_plan(find_board("orangecrab"), plan_of(*COMMANDS, suffix),
                                  tmp_path / "build")
    assert bitstream is not None
    data = bitstream.read_bytes()
    assert data[:9] == b"bitstream"
    # bcdDevice, idProduct, idVendor, bcdDFU, signature, length, CRC; little-endian.
    assert data[9:21] == bytes.fromhex("ffff f05a 0912 0001") + b"UFD" + bytes([16])
    assert int.from_bytes(data[21:], "little") == zlib.crc32(data[:21]) ^ 0xFFFFFFFF
