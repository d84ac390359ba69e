"""Where the console command begins: minds signals before it loads anything that takes time."""

from eieio.model.leftovers import ended_by_signals

__all__ = ["main"]


def main() -> None:
    """Run the command ``eieio``; it ends the process."""
    with ended_by_signals():
        from eieio.scripts.main import main

        main(prog_name="eieio")


if __name__ == "__main__":
    main()
