"""What a recipe is and what is made of its runs; nothing here needs PyTorch."""

import pytest

from eieio.model.errors import InputError
from eieio.training.recipes.recipe import Measured, Recipe, parse_settings, summarize

RECIPE = Recipe("tiny", "Tiny", "%", lambda session: [], settings={
    "epochs": 3, "rate": 0.5, "bits": (2, 3), "shares": (0.5,), "how": "so"})
KNOWN = "epochs=..., rate=..., bits=..., shares=..., how=..."


def test_settings() -> None:
    found = parse_settings(RECIPE, ["epochs=7", "bits=4,5,6", "shares=1,0.25", "how=else"])
    assert found == {"epochs": 7, "rate": 0.5, "bits": (4, 5, 6), "shares": (1.0, 0.25),
                     "how": "else"}
    assert RECIPE.settings["epochs"] == 3


@pytest.mark.parametrize(("text", "message"), [
    ("epoch=7", f"Setting 'epoch=7' must be one of {KNOWN} of recipe tiny"),
    ("epochs", f"Setting 'epochs' must be one of {KNOWN} of recipe tiny"),
    ("epochs=1.5", "Setting epochs must be like 3, not '1.5'"),
    ("bits=2,x", "Setting bits must be like 2,3, not '2,x'")])
def test_settings_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_settings(RECIPE, [text])
    assert str(error.value) == message


def test_summary() -> None:
    found = summarize([[Measured("a", 1.0), Measured("b", 5, "curve", 2, "cycles")],
                       [Measured("a", 4.0), Measured("b", 5, "curve", 2, "cycles")]])
    assert found == [
        {"name": "a", "mean": 2.5, "spread": pytest.approx(4.5 ** 0.5), "runs": [1.0, 4.0]},
        {"name": "b", "mean": 5, "spread": 0, "runs": [5, 5], "series": "curve", "x": 2,
         "unit": "cycles"}]


def test_summary_of_one_seed() -> None:
    assert summarize([[Measured("a", 1.0)]])[0]["spread"] == 0


def test_summary_of_different_arms() -> None:
    with pytest.raises(InputError, match=r"^Every seed must give the same arms$"):
        summarize([[Measured("a", 1.0)], [Measured("b", 1.0)]])
