"""The console command ``eieio``: finds the subcommand, and turns errors into one line."""

import errno
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from eieio.model.errors import InputError
from eieio.model.leftovers import ended_by_signals

__all__ = ["main"]

_COMMANDS = ("compress", "generate", "simulate", "infer", "build", "compare", "roofline", "fit",
             "tune", "synthesize", "run", "engines", "registers", "export", "bench", "train")


class _Commands(click.Group):
    """Imports a subcommand only when it is needed, and reports every error on one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return getattr(import_module(f"eieio.scripts.{cmd_name}"), cmd_name)

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        with ended_by_signals():
            self._main(*args, **kwargs)

    def _main(self, *args: Any, **kwargs: Any) -> None:
        try:
            status = super().main(*args, standalone_mode=False, **kwargs)
            sys.stdout.flush()
        except click.Abort:
            _complain("interrupted")
            sys.exit(130)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "eieio"
            _complain(f"{error.format_message()} (try '{path} --help')")
            sys.exit(2)
        except click.ClickException as error:
            _complain(error.format_message())
            sys.exit(2)
        except InputError as error:
            _complain(str(error))
            sys.exit(2)
        except BrokenPipeError:  # Who read our output, such as head, has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except OSError as error:
            name = error.filename or ("standard output" if _output_fails(error) else None)
            _complain(f"{name}: {error.strerror}" if name else str(error.strerror or error))
            sys.exit(2)
        except MemoryError:
            _complain("not enough memory")
            sys.exit(2)
        except Exception as error:
            if not _is_tool_error(error):
                raise
            _complain(str(error))
            sys.exit(2)
        sys.exit(status if isinstance(status, int) else 0)


def _output_fails(error: OSError) -> bool:
    """Tell whether an error without a name is standard output's; if so, give this up."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return False
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _is_tool_error(error: Exception) -> bool:
    """Tell failures of Yosys, simulators and boards; the modules are loaded if one occurred."""
    for module, names in (("eieio.sim.runner", ("BuildError", "SimulationError")),
                          ("eieio.rtl.emit", ("EmissionError",)),
                          ("eieio.rtl.boards.build", ("SynthesisError",)),
                          ("eieio.host.errors", ("DeviceError",))):
        if module in sys.modules and isinstance(
                error, tuple(getattr(sys.modules[module], name) for name in names)):
            return True
    return False


def _complain(message: str) -> None:
    click.echo(f"eieio: {' '.join(message.split())}", err=True)


@click.group(cls=_Commands, invoke_without_command=True,
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("eieio"), prog_name="eieio", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """From a trained neural network to verified, synthesizable hardware.

    \b
    The whole way in one command:
      eieio build network.onnx --samples test.npz --pes 16 --out design --simulate 100
    Or step by step:
      eieio compress network.onnx --density 0.08 --out network.eie
      eieio generate network.eie --samples test.npz --pes 16 --out design
      eieio simulate design --input test.npz --count 100
      eieio infer design --input x.npy --output y.npy --on rtl
    A convolutional network in 8 bits:
      eieio build network.tflite --rows 16 --columns 16 --out design
    Onto a board:
      eieio fit network.onnx --board ulx3s-85f
      eieio tune network.onnx --samples test.npz --board ulx3s-85f
      eieio synthesize network.onnx --samples test.npz --board ulx3s-85f --pes 16
      eieio run design test.npz --port /dev/ttyUSB0
    Without a board, by the same driver through a pseudo-terminal to its Verilog:
      eieio run design test.npz --simulated --count 10
    Into a system of your own, by AXI, FuseSoC, LiteX or plain Verilog:
      eieio export design --out package
    Into a system with AXI buses:
      eieio registers --format c
    Which engines there are, which networks they take, and their options:
      eieio engines
    The layers of the EIE paper, or one of your own, beside the engine as published:
      eieio bench eie
      eieio bench layer --weight w.npy --activation a.npy
    A training method, measured beside what it is compared with:
      eieio train dynamic-fixed-point

    A network is an .onnx or a .tflite file, an .npz file of fully connected layers, Deep
    Compression's .net (with its prototxt beside it), or .eie, which 'eieio compress' writes.

    Results go to standard output, progress and errors to standard error. The exit status is 0, or
    1 if the hardware's results differ from the models', or 2 after an error.
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


if __name__ == "__main__":
    main(prog_name="eieio")
