"""Spaces of engines."""

from eieio.model.registry import engines
from eieio.rtl.boards.find import find_board
from eieio.scripts.tuning.space import axes_of, make_space


def test_engines_say_real_spaces() -> None:
    """What engines vary are their options, and some of it can be on a board."""
    board = find_board("ulx3s-85f")
    for engine in engines():
        names = {option.name for option in engine.options}
        assert {*engine.sizing.space} <= names
        assert engine.sizing.lossy <= {*engine.sizing.space}
        if engine.area is not None:
            first = {name: (values[0], values[-1])[:len(values)]
                     for name, values in engine.sizing.space.items()}
            space, refused = make_space({engine.name: axes_of(engine, first, lossy=False)},
                                        [engine], board)
            assert not refused
            assert len(space)
