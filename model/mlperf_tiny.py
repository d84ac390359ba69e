"""MLPerf Tiny: its reference networks, and what others reached on FPGAs.

The networks and where they are published: Banbury et al., "MLPerf Tiny Benchmark", NeurIPS 2021
Datasets and Benchmarks; files in github.com/mlcommons/tiny. Results: submissions of the closed
division, in which the reference networks run unmodified, in github.com/mlcommons/tiny_results_v1.1.
"""

from dataclasses import dataclass

from eieio.model.graph.quantized_graph import QuantizedGraph

__all__ = ["REFERENCES", "SOURCE", "Published", "Reference", "normalised", "recognise"]

#: Where the results of others are from.
SOURCE = "mlcommons/tiny_results, round v1.1, closed division"

#: Folder of the networks in mlcommons/tiny.
_FOLDER = "benchmark/training"


def normalised(inferences_per_second: float, dsp: int, mhz: float) -> float:
    """Return inferences a second for each multiplier and MHz, times 1,000.

    Parameters
    ----------
    inferences_per_second : :class:`float`
        Inferences a second, one after the other.
    dsp : :class:`int`
        Multipliers of the FPGA that the design takes.
    mhz : :class:`float`
        Its clock.
    """
    return 1000 * inferences_per_second / (dsp * mhz)


@dataclass(frozen=True)
class Published:
    """A result on an FPGA.

    Attributes
    ----------
    submitter, board : :class:`str`
        Whose, and on which board.
    inferences_per_second : :class:`float`
        Inferences a second.
    dsp : :class:`int`
        Multipliers.
    mhz : :class:`float`
        Clock.
    """

    submitter: str
    board: str
    inferences_per_second: float
    dsp: int
    mhz: float

    @property
    def normalised(self) -> float:
        """See :func:`normalised`."""
        return normalised(self.inferences_per_second, self.dsp, self.mhz)


@dataclass(frozen=True)
class Reference:
    """A reference network.

    Attributes
    ----------
    name, title : :class:`str`
        Short name of the benchmark, and what it is.
    file : :class:`str`
        Where mlcommons/tiny has it.
    input_shape : tuple of :class:`int`
        Shape of its input.
    macs : :class:`int`
        Products of a weight and an activation of an inference.
    published : tuple of Published
        Results of others with it.
    """

    name: str
    title: str
    file: str
    input_shape: tuple[int, ...]
    macs: int
    published: tuple[Published, ...] = ()

    @property
    def best(self) -> Published | None:
        """The published result with the most inferences a second for each multiplier and MHz."""
        return max(self.published, key=lambda entry: entry.normalised, default=None)


#: The five networks, in the order of the benchmark's rounds.
REFERENCES = (
    Reference("kws", "keyword spotting, DS-CNN",
              f"{_FOLDER}/keyword_spotting/trained_models/kws_ref_model.tflite",
              (49, 10, 1), 2_656_768, (
                  Published("fpgaConvNet", "ZedBoard", 3088, 188, 143),
                  Published("fpgaConvNet", "Zybo", 465, 60, 125))),
    Reference("ic", "image classification, ResNet-8",
              f"{_FOLDER}/image_classification/trained_models/pretrainedResnet_quant.tflite",
              (32, 32, 3), 12_501_632, (
                  Published("fpgaConvNet", "ZedBoard", 2431, 211, 143),
                  Published("fpgaConvNet", "ZC706", 6790, 525, 187),
                  Published("fpgaConvNet", "Zybo", 317, 78, 125))),
    Reference("vww", "visual wake words, MobileNet 0.25",
              f"{_FOLDER}/visual_wake_words/trained_models/vww_96_int8.tflite",
              (96, 96, 3), 7_489_664, (
                  Published("fpgaConvNet", "ZedBoard", 105, 189, 111),
                  Published("fpgaConvNet", "ZC706", 1388, 564, 200),
                  Published("Kai Jiang (ANPU)", "ZCU106", 2684, 994, 200))),
    Reference("ad", "anomaly detection, autoencoder",
              f"{_FOLDER}/anomaly_detection/trained_models/ad01_int8.tflite",
              (640,), 264_192),
    Reference("sww", "streaming wake word",
              f"{_FOLDER}/streaming_wakeword/trained_models/strm_ww_int8.tflite",
              (30, 1, 40), 826_368),
)


def recognise(graph: QuantizedGraph) -> Reference | None:
    """Return the reference network that has a network's input and its number of products."""
    return next((reference for reference in REFERENCES
                 if (reference.input_shape, reference.macs) == (graph.input.shape, graph.macs)),
                None)
