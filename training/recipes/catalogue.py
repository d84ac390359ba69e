"""Which recipes there are; nothing here needs PyTorch before a recipe is opened."""

from importlib import import_module

from eieio.model.errors import InputError
from eieio.training.recipes.recipe import Recipe

__all__ = ["RECIPES", "open_recipe"]

#: What each recipe measures, in one line. Its module has its name, with underscores.
RECIPES = {
    "dense-sparse-dense": "Pruned weights that grow again, on few images, beside dense trainings.",
    "distillation": "A small network that learns from a large one, on MNIST as Hinton et al. did.",
    "dynamic-fixed-point": "Accuracy against bits of weights and of activations, from 2 to 16.",
    "mixed-precision": "float16 with and without float32 weights and a scale of the loss.",
    "low-rank": "Products and accuracy of a LeNet-5 whose layers are factored.",
    "ternary": "BinaryConnect, Ternary Weight Networks, and Trained Ternary Quantization.",
    "parallel-training": "Large batches, and processes that share batches, layers and a search.",
    "pruning": "At once or step by step, trained again or not, and structured forms' cycles.",
}


def open_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises
    ------
    InputError
        If there is none of this name, or PyTorch is not installed.
    """
    if name not in RECIPES:
        raise InputError(f"Recipe must be one of {', '.join(RECIPES)}, not {name!r}")
    try:
        import_module("torch")
    except ImportError:
        raise InputError("Training needs the Python package torch: pip install 'eieio[train]'"
                         ) from None
    return import_module(f"eieio.training.recipes.{name.replace('-', '_')}").RECIPE
