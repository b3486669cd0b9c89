"""What a hostile ONNX file could ask for is refused before onnxruntime sees it."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bitreid.artifact import load_card, read_engine
from bitreid.encoding.onnx.checking import check_onnx
from bitreid.errors import ArtifactError
from tests.encoding.onnx.cases import by_hand


def test_an_exported_model_passes(trained: Path) -> None:
    check_onnx(read_engine(trained / "artifact", load_card(trained / "artifact"), "onnx"))
    check_onnx(by_hand().SerializeToString())


def other_operators(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "evil.ops"


def imported_operators(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="com.microsoft", version=1)


def operators_in_a_graph_in_a_graph(model: onnx.ModelProto) -> None:
    node = helper.make_node("Anything", [], ["x"], domain="evil.ops")
    for _ in range(3):
        graph = helper.make_graph([node], "inner", [], [])
        node = helper.make_node("If", ["bits"], ["x"], then_branch=graph, else_branch=graph)
    model.graph.node.append(node)


def external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def data_in_other_files(model: onnx.ModelProto) -> None:
    external(model.graph.initializer[6])


def only_the_place_of_data(model: onnx.ModelProto) -> None:
    model.graph.initializer[6].external_data.add(key="location", value="../secret")


def data_of_an_attribute_in_other_files(model: onnx.ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]))
    external(constant.attribute[0].t)
    model.graph.node.append(constant)


def sparse_data(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def functions(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="")


def training(model: onnx.ModelProto) -> None:
    model.training_info.add()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (other_operators, "evil.ops"),
        (imported_operators, "com.microsoft"),
        (operators_in_a_graph_in_a_graph, "evil.ops"),
        (data_in_other_files, "data in other files"),
        (only_the_place_of_data, "data in other files"),
        (data_of_an_attribute_in_other_files, "data in other files"),
        (sparse_data, "sparse tensors"),
        (functions, "functions of its own"),
        (training, "steps of training"),
    ],
)
def test_what_is_refused(make: Callable[[onnx.ModelProto], None], named: str) -> None:
    model = by_hand()
    make(model)
    with pytest.raises(ArtifactError, match=named):
        check_onnx(model.SerializeToString())


def test_graphs_in_graphs_come_to_an_end() -> None:
    node = helper.make_node("Identity", ["bits"], ["x"])
    for _ in range(30):
        node = helper.make_node("If", ["bits"], ["x"], then_branch=helper.make_graph([node], "inner", [], []))
    model = by_hand()
    model.graph.node.append(node)
    with pytest.raises(ArtifactError, match="nested too deep"):
        check_onnx(model.SerializeToString())


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        check_onnx(data)
    except ArtifactError:
        return
    check_onnx(data + data)  # messages may follow each other


@given(st.data())
def test_a_model_that_is_cut_off_is_refused(data: st.DataObject) -> None:
    whole = by_hand().SerializeToString()
    graph = whole.index(b"by hand")  # the length of the graph comes before; its end is not the file's
    stop = data.draw(st.integers(graph, len(whole) - 20))
    with pytest.raises(ArtifactError, match="expected a model in ONNX format"):
        check_onnx(whole[:stop])
