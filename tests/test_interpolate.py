"""interpolate: theta = (1 - alpha) theta_0 + alpha theta_1, exact at the ends, inputs left alone."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wiseft_nb import WiseftError, evaluate, interpolate, wise_ft
from wiseft_nb.interpolate import mix_into

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("steady")

DTYPES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}
alphas = st.floats(0, 1)
inner = st.floats(0.001, 0.999)
numbers = st.floats(-100, 100, width=16)


def bits(tensor):
    """What a tensor holds, byte for byte: tells -0.0 from 0.0 and equals itself where it is NaN."""
    return tensor.dtype, tuple(tensor.shape), tensor.contiguous().flatten().view(torch.uint8).tolist()


@st.composite
def endpoints(draw, elements=numbers):
    """Two state dicts of one architecture: a weight, a scalar, an integer count, a mask."""
    dtype = draw(st.sampled_from(list(DTYPES)))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(0, 4))

    def weights():
        values = draw(st.lists(elements, min_size=rows * columns, max_size=rows * columns))
        return {
            "weight": torch.tensor(values, dtype=dtype).reshape(rows, columns),
            "scale": torch.tensor(draw(elements), dtype=dtype),
            "num_batches_tracked": torch.tensor(draw(st.integers(0, 2**40))),
            "mask": torch.tensor([draw(st.booleans())]),
        }

    return weights(), weights()


@given(endpoints(st.floats(width=16)))
def test_the_ends_are_the_endpoints_bit_for_bit(ends):
    """Also where a weight is NaN, infinite or -0.0: 0 * x + y is not always y."""
    for alpha in (0, 1, 0.0, 1.0, np.float64(0), np.float32(1)):
        theta = interpolate(*ends, alpha)
        assert {name: bits(t) for name, t in theta.items()} == {name: bits(t) for name, t in ends[int(alpha)].items()}


@given(endpoints(), alphas)
def test_inputs_stay_as_they_were_and_share_no_memory_with_the_result(ends, alpha):
    before = copy.deepcopy(ends)
    theta = interpolate(*ends, alpha)
    for tensor in theta.values():
        tensor.zero_()
        tensor.logical_not_() if tensor.dtype == torch.bool else tensor.add_(7)
    for given_, kept in zip(ends, before, strict=True):
        assert {name: bits(t) for name, t in given_.items()} == {name: bits(t) for name, t in kept.items()}


@given(endpoints(), alphas)
def test_keys_shapes_and_dtypes_are_those_of_the_endpoints(ends, alpha):
    theta = interpolate(*ends, alpha)
    assert list(theta) == list(ends[0])
    assert all(bits(t)[:2] == bits(ends[0][name])[:2] for name, t in theta.items())


@given(endpoints(), inner)
def test_floating_tensors_are_linear_in_alpha(ends, alpha):
    theta = interpolate(*ends, alpha)
    for name in ("weight", "scale"):
        zero, one = ends[0][name].double(), ends[1][name].double()
        tolerance = DTYPES[ends[0][name].dtype] * (1 + zero.abs() + one.abs())
        assert ((theta[name].double() - (zero + alpha * (one - zero))).abs() <= tolerance).all()


@given(endpoints(), inner)
def test_swapping_the_endpoints_mirrors_alpha(ends, alpha):
    there, back = interpolate(*ends, alpha), interpolate(*ends[::-1], 1 - alpha)
    for name in ("weight", "scale"):
        tolerance = DTYPES[ends[0][name].dtype]
        torch.testing.assert_close(there[name], back[name], rtol=tolerance, atol=100 * tolerance)


@given(endpoints(), inner)
def test_integers_and_masks_are_carried_from_theta_0_not_mixed(ends, alpha):
    theta = interpolate(*ends, alpha)
    for name in ("num_batches_tracked", "mask"):
        assert bits(theta[name]) == bits(ends[0][name])


@given(endpoints(), inner)
def test_equal_endpoints_stay_what_they_are(ends, alpha):
    theta = interpolate(ends[0], ends[0], alpha)
    for name in ("weight", "scale"):
        tolerance = DTYPES[ends[0][name].dtype]
        torch.testing.assert_close(theta[name], ends[0][name], rtol=tolerance, atol=tolerance)


def test_the_order_of_keys_does_not_matter():
    theta_0 = {"a": torch.zeros(1), "b": torch.ones(1)}
    theta_1 = {"b": torch.full((1,), 3.0), "a": torch.full((1,), 2.0)}
    assert interpolate(theta_0, theta_1, 0.5) == {"a": torch.ones(1), "b": torch.full((1,), 2.0)}


def test_the_result_carries_no_gradient():
    """Interpolating parameters must not build a graph through both models."""
    ends = [dict(nn.Linear(2, 2).named_parameters()) for _ in range(2)]
    assert not any(t.requires_grad for alpha in (0, 0.5, 1) for t in interpolate(*ends, alpha).values())


@pytest.mark.parametrize("alpha", [np.float64(0.25), np.float32(0.25)])
def test_alpha_may_come_from_a_table(alpha):
    ends = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    assert torch.equal(interpolate(*ends, alpha)["w"], torch.full((2,), 0.25))


@pytest.mark.parametrize("alpha", [-0.5, 1.5])
def test_outside_zero_to_one_it_extrapolates_and_warns(alpha):
    with pytest.warns(UserWarning, match="extrapolates"):
        theta = interpolate({"w": torch.zeros(1)}, {"w": torch.ones(1)}, alpha)
    assert theta["w"].item() == alpha


@pytest.mark.parametrize("alpha", ["half", None, math.nan, math.inf, True, [0.5], torch.tensor([0.5, 0.5])])
def test_alpha_that_is_no_number_is_refused(alpha):
    with pytest.raises(WiseftError, match="alpha"):
        interpolate({"w": torch.zeros(1)}, {"w": torch.ones(1)}, alpha)


@pytest.mark.parametrize(
    ("theta_1", "named"),
    [
        ({"a": torch.zeros(2)}, "b (only in theta_0)"),
        ({"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}, "c (only in theta_1)"),
        ({"a": torch.zeros(2), "b": torch.zeros(4)}, "b ((3,) and (4,))"),
        ({"a": torch.zeros(2), "b": torch.zeros(3).half()}, "b (torch.float32 and torch.float16)"),
    ],
)
def test_endpoints_that_differ_are_refused_by_name(theta_1, named):
    with pytest.raises(WiseftError) as error:
        interpolate({"a": torch.zeros(2), "b": torch.zeros(3)}, theta_1, 0.5)
    assert named in str(error.value)


def test_only_the_first_few_of_many_differences_are_named():
    many = {f"layer{i:03d}": torch.zeros(1) for i in range(500)}
    with pytest.raises(WiseftError, match="500 keys") as error:
        interpolate(many, {}, 0.5)
    assert len(str(error.value)) < 300


def test_alpha_0_and_1_predict_what_the_endpoints_predict(zero_shot, fine_tuned, tiny):
    """Bit for bit, through a whole model with BatchNorm."""
    for alpha, end in ((0, zero_shot), (1, fine_tuned)):
        mixed = evaluate(wise_ft(zero_shot, fine_tuned, alpha), tiny.reference)
        assert torch.equal(mixed.logits, evaluate(end, tiny.reference).logits)


def test_wise_ft_changes_neither_model(zero_shot, fine_tuned):
    before = [copy.deepcopy(model.state_dict()) for model in (zero_shot, fine_tuned)]
    mixed = wise_ft(zero_shot, fine_tuned, 0.5)
    with torch.no_grad():
        for parameter in mixed.parameters():
            parameter.zero_()
    for model, state in zip((zero_shot, fine_tuned), before, strict=True):
        assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())


def sweep_weights(theta_0, theta_1, model, alphas, mix):
    """Load a mixture for each alpha into the model and note its weight, as an alpha loop does."""
    seen = []
    for alpha in alphas:
        model.load_state_dict(mix(theta_0, theta_1, alpha))
        seen.append(model.weight.item())
    return seen


def test_a_loop_over_alpha_is_not_spoiled_by_loading_into_an_endpoint():
    """The reference README's loop is: its state dict is the live model, so each alpha starts from the last mixture."""
    zero_shot, model = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(zero_shot.weight)
    nn.init.ones_(model.weight)

    def plain(theta_0, theta_1, alpha):
        return {name: (1 - alpha) * theta_0[name] + alpha * theta_1[name] for name in theta_0}

    alphas, live = (0.5, 0.5, 1.0), model.state_dict()
    assert sweep_weights(zero_shot.state_dict(), live, model, alphas, plain) == [0.5, 0.25, 0.25]  # wrong
    nn.init.ones_(model.weight)
    kept = interpolate(live, live, 1)
    assert sweep_weights(zero_shot.state_dict(), kept, model, alphas, interpolate) == [0.5, 0.5, 1.0]


@given(endpoints(), st.sampled_from([0.0, 1.0, 0.3, 0.5, 0.999, -0.5, 1.2]))
@pytest.mark.filterwarnings("ignore:alpha")
def test_mixing_into_tensors_that_are_there_gives_the_same_bits(ends, alpha):
    """What a sweep does, alpha after alpha, in one set of weights."""
    theta_0, theta_1 = ends
    theta = interpolate(theta_0, theta_1, 0)
    moved = {name: tensor for name, tensor in theta.items() if not torch.equal(tensor, theta_1[name])}
    for value in (0.7, alpha):
        mix_into(moved, theta_0, theta_1, value)
    expected = interpolate(theta_0, theta_1, alpha)
    assert all(bits(moved[name]) == bits(expected[name]) for name in moved)
