from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from isobench.builds import graph_view
from isobench.builds.constants import Constants


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], raw_data=bytes(4)),
        TensorProto(name="w", data_type=99, dims=[2, 3], raw_data=bytes(24)),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 70, raw_data=bytes(4)),
        TensorProto(name="w", data_type=TensorProto.STRING, dims=[2], raw_data=bytes(4)),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3]),
    ],
)
def test_a_weight_whose_data_do_not_fit_is_not_known(tensor: TensorProto) -> None:
    view = graph_view.of_model(helper.make_model(helper.make_graph([], "g", [], [], [tensor])))
    assert Constants(lambda _: None).value(view.main, "w") is None
