"""Prototxt: shapes of weights, and refusals."""

import re
from pathlib import Path

import pytest
from net_files import format_net

from eieio.model.errors import InputError
from eieio.model.formats.prototxt import NetParameter, parse_net, weight_shapes

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 11 '


def layer(kind: str, name: str, bottom: str, options: str = "") -> str:
    """Layer in prototxt whose top has its own name."""
    return (f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" '
            f"{options} }}\n")


def shapes(text: str) -> dict[str, tuple[int, ...]]:
    return {weights.name: weights.shape
            for weights in weight_shapes(parse_net(text.encode(), "net"), "net")}


def refuse(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^net: {re.escape(message)}$"):
        shapes(text)


IP = layer("InnerProduct", "ip", "last", "inner_product_param { num_output: 1 }")


@pytest.mark.parametrize(("options", "top"), [
    ("kernel_size: 3", (18, 9)),
    ("kernel_size: 3 stride: 2 pad: 1", (10, 6)),
    ("kernel_h: 5 kernel_w: 1", (16, 11)),
    ("kernel_size: 5 kernel_size: 1 stride: 2 stride: 1", (8, 11)),
    ("kernel_size: 3 dilation: 2", (16, 7)),
    ("kernel_size: 4 stride_h: 3 stride_w: 2 pad_h: 0 pad_w: 1", (6, 5)),
])
def test_convolution(options: str, top: tuple[int, int]) -> None:
    text = INPUT + layer(
        "Convolution", "last", "data", f"convolution_param {{ num_output: 8 {options} }}") + IP
    assert shapes(text)["ip"] == (1, 8 * top[0] * top[1])
    assert shapes(text)["last"][:2] == (8, 3)


def test_group() -> None:
    assert shapes(INPUT + layer(
        "Convolution", "conv", "data",
        "convolution_param { num_output: 6 kernel_size: 2 kernel_size: 3 group: 3 }")) == {
            "conv": (6, 1, 2, 3)}


@pytest.mark.parametrize(("options", "top"), [
    ("kernel_size: 3 stride: 2", (10, 5)),
    ("kernel_size: 2 stride: 2", (10, 6)),
    ("kernel_size: 2 stride: 2 pad: 1", (11, 6)),  # the second would begin in the padding
    ("pool: AVE global_pooling: true", (1, 1)),
])
def test_pooling(options: str, top: tuple[int, int]) -> None:
    text = INPUT + layer("Pooling", "last", "data", f"pooling_param {{ {options} }}") + IP
    assert shapes(text)["ip"] == (1, 3 * top[0] * top[1])


def test_concat() -> None:
    text = INPUT + layer("ReLU", "relu", "data") + (
        'layer { name: "last" type: "Concat" bottom: "data" bottom: "relu" top: "last" }') + IP
    assert shapes(text)["ip"] == (1, 2 * 3 * 20 * 11)


@pytest.mark.parametrize("source", [
    'input: "last" input_shape { dim: 1 dim: 7 }',
    'layer { name: "in" type: "Input" top: "last" input_param { shape { dim: 1 dim: 7 } } }',
])
def test_inputs(source: str) -> None:
    assert shapes(source + IP) == {"ip": (1, 7)}


def test_format() -> None:
    net = NetParameter(name="nét", input=["data"])
    assert parse_net(format_net(net) + IP.encode(), "net").name == "nét"


@pytest.mark.parametrize(("text", "message"), [
    ('name: "empty"', "must have at least one 'layer { }'"),
    ('layers { name: "a" type: CONVOLUTION }',
     ("layers must be in 'layer { }' with a quoted type, not in the older 'layers { }' (Caffe's "
      "upgrade_net_proto_text converts it)")),
    (INPUT + layer("ReLU", "a", "data"), "must have a Convolution or an InnerProduct"),
    (INPUT + layer("ReLU", "a", "b"),
     "layer 'a' must take the top of a layer before it, not 'b'"),
    (INPUT + layer("PReLU", "a", "data"),
     ("layer 'a' must be of type AbsVal, Concat, Convolution, Dropout, ELU, Eltwise, Flatten, "
      "InnerProduct, Input, LRN, Pooling, Power, ReLU, Sigmoid, Softmax, Split, TanH, not "
      "'PReLU'")),
    (INPUT + layer("InnerProduct", "a", "data", "inner_product_param { bias_term: false }"),
     "layer 'a' must have a num_output, axis 1, a bias and no transpose"),
    (INPUT + layer("InnerProduct", "a", "data", "inner_product_param { num_output: 1000000 }"),
     "layer 'a' must have at most 268435456 weights, not 660000000"),
    (INPUT + layer("Convolution", "a", "data", "convolution_param { num_output: 4 }"),
     "layer 'a' must have a kernel and a stride above 0, not (0, 0) and (1, 1)"),
    (INPUT + layer("Convolution", "a", "data",
                   "convolution_param { num_output: 4 kernel_size: 12 }"),
     "layer 'a' must have a kernel within its 20 x 11 input, not 12 x 12"),
    (INPUT + layer("Convolution", "a", "data",
                   "convolution_param { num_output: 4 kernel_size: 1 group: 2 }"),
     "layer 'a' must have a bias, and a group that divides its 3 inputs and 4 outputs, not 2"),
    (INPUT + layer("Concat", "a", "data", "concat_param { axis: 2 }"),
     "layer 'a' must join channels, on axis 1"),
    ('input: "data" input_dim: 1 ' + IP, "input_dim must be given 4 times an input, not 1 times"),
    ('input: "data"' + IP, "each of the 1 inputs must have one shape, not 0 in all"),
    ('input: "data" input_shape { dim: 1 dim: -2 }' + IP,
     ("input 'data' must have a shape of positive dimensions, the batch first, not (1, -2)")),
])
def test_refuses(text: str, message: str) -> None:
    refuse(text, message)


def test_refuses_syntax() -> None:
    with pytest.raises(InputError, match=r"^net: must be a prototxt: 2:7 : .+$"):
        parse_net(b"\nlayer {", "net")


def test_refuses_binary() -> None:
    with pytest.raises(InputError, match=r"^net: must be a prototxt in UTF-8, but byte 1 is not"):
        parse_net(b"a\xff", "net")


def test_refuses_deep_nesting() -> None:
    with pytest.raises(InputError, match=r"^net: must be a prototxt, not nested this deep$"):
        parse_net(b"a {" * 100_000, "net")


def test_squeezenet(shared_data: Path) -> None:
    path = shared_data / "squeezenet" / "SqueezeNet_deploy.prototxt"
    layers = weight_shapes(parse_net(path.read_bytes(), "net"), "net")
    assert len(layers) == 26
    assert layers[0].shape == (96, 3, 7, 7)
    assert layers[3] == type(layers[3])("fire2/conv3x3_2", (64, 16, 3, 3))
    assert layers[-1].shape == (1000, 512, 1, 1)
