"""The table of rules: what each operator requires of the values at each of its inputs."""

from __future__ import annotations

from collections.abc import Mapping

from isobench.builds.input_rules import attention, axes, indices, quantities, shapes
from isobench.builds.input_rules.base import At, Rule, RuleMaker
from isobench.builds.settled_graph import REDUCTIONS

SCALE = quantities.uniform(0.01, 0.1)
POSITIVE = quantities.floats_only(quantities.uniform(0.5, 1.5))
UNIT = quantities.floats_only(quantities.uniform(-0.9, 0.9))
ZERO_POINT = quantities.zero_point

ONNX: Mapping[str, Mapping[int, RuleMaker]] = {
    **{f"Reduce{kind}": {1: axes.reduced} for kind in REDUCTIONS},
    "Acos": {0: UNIT},
    "Acosh": {0: quantities.floats_only(quantities.uniform(1, 3))},
    "AffineGrid": {1: shapes.affine_grid},
    "Asin": {0: UNIT},
    "Atanh": {0: UNIT},
    "Attention": {3: attention.ones, 6: attention.key_lengths},
    "BatchNormalization": {4: POSITIVE},
    "Bernoulli": {0: quantities.uniform(0, 1)},
    "BitShift": {1: quantities.shift},
    "BlackmanWindow": {0: quantities.window_size},
    "Cast": {0: quantities.numerals},
    "CastLike": {0: quantities.numerals},
    "CenterCropPad": {1: shapes.crop_or_pad},
    "Clip": {1: quantities.minimum, 2: quantities.maximum},
    "Col2Im": {1: shapes.col2im_image, 2: shapes.col2im_block},
    "Compress": {1: shapes.compress},
    "ConstantOfShape": {0: shapes.sizes_of_output(2)},
    "ConvInteger": {2: ZERO_POINT, 3: ZERO_POINT},
    "CumProd": {1: axes.first_axis},
    "CumSum": {1: axes.first_axis},
    "DFT": {1: quantities.dft_length, 2: quantities.dft_axis},
    "DequantizeLinear": {1: SCALE, 2: ZERO_POINT},
    "Div": {1: quantities.divisor},
    "Dropout": {1: indices.constant(0.5), 2: indices.constant(False)},
    "Expand": {1: shapes.expand},
    "GRU": {4: indices.recurrent_lengths},
    "Gather": {1: indices.along_axis},
    "GatherElements": {1: indices.along_axis},
    "GatherND": {1: indices.gather_nd},
    "GridSample": {1: quantities.floats_only(quantities.uniform(-1, 1))},
    "HammingWindow": {0: quantities.window_size},
    "HannWindow": {0: quantities.window_size},
    "If": {0: quantities.condition},
    "LSTM": {4: indices.recurrent_lengths},
    "Log": {0: POSITIVE},
    "Loop": {0: shapes.loop_count, 1: quantities.goes_on},
    "MatMulInteger": {2: ZERO_POINT, 3: ZERO_POINT},
    "MaxRoiPool": {1: quantities.regions},
    "MaxUnpool": {1: indices.unpooling, 2: shapes.max_unpool},
    "MelWeightMatrix": {
        0: quantities.mel_bins,
        1: quantities.mel_length,
        2: indices.constant(8192),
        3: indices.constant(0),
        4: indices.constant(4096),
    },
    "Mod": {1: quantities.divisor},
    "NegativeLogLikelihoodLoss": {1: indices.classes, 2: POSITIVE},
    "NonMaxSuppression": {
        0: quantities.overlapping_boxes,
        2: indices.constant(10),
        3: indices.constant(0.5),
        4: indices.constant(0),
    },
    "OneHot": {0: indices.one_hot, 1: indices.depth},
    "Pad": {1: axes.pads, 3: axes.changed},
    "Pow": {0: quantities.base, 1: quantities.exponent},
    "QLinearConv": {1: SCALE, 2: ZERO_POINT, 4: SCALE, 5: ZERO_POINT, 6: SCALE, 7: ZERO_POINT},
    "QLinearMatMul": {1: SCALE, 2: ZERO_POINT, 4: SCALE, 5: ZERO_POINT, 6: SCALE, 7: ZERO_POINT},
    "QuantizeLinear": {1: SCALE, 2: ZERO_POINT},
    "RNN": {4: indices.recurrent_lengths},
    "Range": {0: shapes.range_start, 1: shapes.range_limit, 2: shapes.range_delta},
    "Reshape": {1: shapes.reshape},
    "Resize": {1: shapes.resize_roi, 2: shapes.resize_scales, 3: shapes.resize_sizes},
    "ReduceLogSum": {0: POSITIVE, 1: axes.reduced},
    "ReverseSequence": {1: indices.full_lengths(0, "time_axis")},
    "RoiAlign": {1: quantities.regions, 2: indices.along(0, 0)},
    "RotaryEmbedding": {3: attention.positions},
    "STFT": {1: quantities.frame_step, 3: quantities.frame_length},
    "Scatter": {1: indices.distinct_along_axis},
    "ScatterElements": {1: indices.distinct_along_axis},
    "ScatterND": {1: indices.distinct_rows},
    "SequenceAt": {1: indices.constant(0)},
    "SequenceErase": {1: indices.constant(0)},
    "SequenceInsert": {2: indices.constant(0)},
    "Slice": {1: axes.slice_starts, 2: axes.slice_ends, 3: axes.changed, 4: axes.slice_steps},
    "SoftmaxCrossEntropyLoss": {1: indices.classes, 2: POSITIVE},
    "Split": {1: shapes.split},
    "SplitToSequence": {1: shapes.split},
    "Sqrt": {0: POSITIVE},
    "Squeeze": {1: axes.squeezed},
    "TensorScatter": {2: indices.constant(0)},
    "TfIdfVectorizer": {0: indices.one_of(("pool_int64s", "pool_strings"), "words")},
    "Tile": {1: shapes.tile, 2: axes.first_axis},
    "TopK": {1: shapes.top_k},
    "Trilu": {1: indices.constant(0)},
    "Unsqueeze": {1: axes.unsqueezed},
    "Upsample": {1: shapes.resize_scales},
}

MACHINE_LEARNING: Mapping[str, Mapping[int, RuleMaker]] = {
    "ArrayFeatureExtractor": {1: indices.along(0, -1)},
    "CategoryMapper": {0: indices.one_of(("cats_int64s", "cats_strings"), "categories")},
    "LabelEncoder": {0: indices.one_of(("keys_int64s", "keys_strings", "keys_floats", "keys_tensor"), "keys")},
    "OneHotEncoder": {0: indices.one_of(("cats_int64s", "cats_strings"), "categories")},
}

MICROSOFT: Mapping[str, Mapping[int, RuleMaker]] = {
    "Attention": {3: attention.mask_index(), 6: attention.past_length},
    "BeamSearch": {
        0: attention.vocabulary,
        1: attention.longest,
        2: indices.constant(1, "shortest sequence"),
        3: indices.constant(2, "number of beams"),
        4: indices.constant(1, "sequences that are returned"),
        5: indices.constant(1.0, "length penalty"),
        6: indices.constant(1.0, "repetition penalty"),
        7: attention.ones,
        8: attention.ones,
        9: attention.ones,
    },
    "DequantizeLinear": {1: SCALE, 2: ZERO_POINT},
    "DecoderMaskedMultiHeadAttention": {3: attention.ones, 7: attention.past_length},
    "EmbedLayerNormalization": {
        0: indices.rows_of(2),
        1: indices.rows_of(4),
        7: attention.ones,
        8: attention.embedding_positions,
    },
    "GatherBlockQuantized": {1: indices.along_axis, 2: SCALE},
    "GatherND": {1: indices.gather_nd},
    "GreedySearch": {
        0: attention.vocabulary,
        1: attention.longest,
        2: indices.constant(1, "shortest sequence"),
        3: indices.constant(1.0, "repetition penalty"),
        4: attention.ones,
        5: attention.ones,
        6: attention.ones,
    },
    "GroupQueryAttention": {5: attention.last_positions, 6: attention.total_length},
    "LongformerAttention": {4: attention.zeros, 7: attention.zeros},
    "MatMulIntegerToFloat": {2: SCALE, 3: SCALE, 4: ZERO_POINT, 5: ZERO_POINT},
    "MatMulNBits": {2: SCALE},
    "MultiHeadAttention": {4: attention.mask_index(), 8: attention.past_length},
    "QAttention": {3: SCALE, 4: SCALE, 5: attention.mask_index(), 6: ZERO_POINT, 7: ZERO_POINT},
    "QLinearAdd": {1: SCALE, 2: ZERO_POINT, 4: SCALE, 5: ZERO_POINT, 6: SCALE, 7: ZERO_POINT},
    "QLinearAveragePool": {1: SCALE, 2: ZERO_POINT, 3: SCALE, 4: ZERO_POINT},
    "QLinearGlobalAveragePool": {1: SCALE, 2: ZERO_POINT, 3: SCALE, 4: ZERO_POINT},
    "QLinearMul": {1: SCALE, 2: ZERO_POINT, 4: SCALE, 5: ZERO_POINT, 6: SCALE, 7: ZERO_POINT},
    "QLinearSigmoid": {1: SCALE, 2: ZERO_POINT, 3: SCALE, 4: ZERO_POINT},
    "QuantizeLinear": {1: SCALE, 2: ZERO_POINT},
    "RotaryEmbedding": {1: attention.positions},
    "Trilu": {1: indices.constant(0)},
}

DOMAINS: Mapping[str, Mapping[str, Mapping[int, RuleMaker]]] = {
    "": ONNX,
    "ai.onnx": ONNX,
    "ai.onnx.ml": MACHINE_LEARNING,
    "com.microsoft": MICROSOFT,
}

# Before these versions of ONNX's operators, the input of that place was something else.
CHANGED = {"Resize": (11, {1: shapes.resize_scales}), "Upsample": (9, {}), "TopK": (10, {}), "Dropout": (12, {})}


def rule_for(at: At) -> Rule | None:
    """The rule of the operator's input, or None if any values of its type will do."""
    operator = at.node.op_type
    rules = DOMAINS.get(at.node.domain, {}).get(operator, {})
    if rules and DOMAINS.get(at.node.domain) is ONNX and operator in CHANGED and 0 < at.opset < CHANGED[operator][0]:
        rules = CHANGED[operator][1]
    maker = rules.get(at.use.slot)
    return maker(at) if maker is not None else None
