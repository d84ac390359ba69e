"""Image loader of the sparse engine."""

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import DESCRIPTOR_FIELDS, Target
from eieio.rtl.image_loader import ImageLoader

__all__ = ["image_loader"]


def image_loader(config: SparseConfig) -> ImageLoader:
    """Make the loader for the memories of a sparse engine."""
    memories = {
        Target.ENTRIES: (config.pes, config.entry_depth // 2),
        Target.POINTERS: (config.pes, config.pointer_depth),
        Target.CODEBOOK: (1, config.layer_depth << config.code_width),
        Target.BIASES: (config.pes, config.output_depth),
        Target.DESCRIPTORS: (1, config.layer_depth * DESCRIPTOR_FIELDS),
        Target.LAYERS: (1, 1),
    }
    if config.per_channel:
        memories[Target.FACTORS] = (config.pes, 2 * config.output_depth)
    return ImageLoader(tuple(memories[target] for target in sorted(memories)),
                       layers_target=Target.LAYERS, layers_maximum=config.layer_depth)
