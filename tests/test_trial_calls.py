"""Tests of single bound calls: where results go, and which library takes a product."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from rayoff.networks import enable_fast_products
from rayoff.trial.calls import make_call
from rayoff.trial.products import _blas_is_better, by_faster_library

aten = torch.ops.aten
X, Y = (
    torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)),
    torch.eye(4).expand(3, 4, 4),
)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (aten.mul.Tensor, (X, Y)),
        (aten.mul.Tensor, (X, 2.0)),
        (aten.bmm.default, (X, Y)),
        (aten.baddbmm.default, (X[:, :1], X, Y)),
        (aten.sum.dim_IntList, (X, [1], True)),
        (aten.relu.default, (X,)),
        (aten.clone.default, (X.mT,)),
        (aten.rsub.Scalar, (X, 1)),
        (aten.rsub.Scalar, (X, 0.1, 2)),
        (aten.div.Scalar, (X, 3)),
        (aten.mul.Scalar, (X, 0.1)),
        (aten.add.Scalar, (X, 0.1)),
        (aten.threshold_backward.default, (X, Y, 0)),
        (aten.native_layer_norm.default, (X, [4], None, None, 1e-5)),
        (
            aten.native_layer_norm_backward.default,
            (X, X, [4], X[:, :, :1], X[:, :, :1] + 3, None, None, [True, False, False]),
        ),
        (aten.var_mean.correction, (X, [1])),
        (aten.cat.default, ([X, X], -1)),
    ],
)
def test_results_are_left_where_they_are_wanted(function: Any, arguments: tuple) -> None:  # noqa: ANN401
    expected = function(*arguments)
    expected = (
        [expected] if isinstance(expected, Tensor) else [e for e in expected if e is not None]
    )
    out = [torch.full_like(one, torch.nan) for one in expected]
    call = make_call(function, arguments, {}, out)
    for _ in range(2):
        call()
        assert all(map(torch.equal, out, expected))


def test_elementwise_results_may_go_over_their_input() -> None:
    for function in (aten.relu.default, aten.neg.default, aten.clone.default):
        x = X.clone()
        make_call(function, (x,), {}, [x])()
        assert torch.equal(x, function(X))


def test_a_binding_is_taken_only_where_it_leads_to_the_overload() -> None:
    out = torch.empty(3, 4, 4)
    writing = make_call(aten.mul.Tensor, (X, Y), {}, [out])
    assert isinstance(writing, partial)
    assert writing.func is torch.mul
    x = X.clone()
    in_place = make_call(aten.pow_.Scalar, (x, 2.0), {}, [])
    assert isinstance(in_place, partial)
    assert in_place.func is Tensor.pow_
    in_place = make_call(aten.mul_.Scalar, (x.long(), 2), {}, [])
    assert isinstance(in_place, partial)
    assert in_place.func is aten.mul_.Scalar  # the binding would take mul_.Tensor
    assert torch.equal(x, X)  # looking for it ran nothing


def test_numbers_are_tensors_that_were_made_once() -> None:
    for function, in_place in (
        (aten.mul.Tensor, aten.mul_.Scalar),
        (aten.div.Tensor, aten.div_.Scalar),
    ):
        x = X.clone()
        call = make_call(in_place, (x, 0.1), {}, [])
        assert isinstance(call, partial)
        assert isinstance(call.args[1], Tensor)
        call()
        assert torch.equal(x, function(X, 0.1))


@pytest.mark.parametrize("inner", [3, 14, 64, 256])
def test_a_product_has_the_same_bits_by_whichever_library(inner: int) -> None:
    enable_fast_products()
    generator = torch.Generator().manual_seed(1)
    bias, x = (torch.randn(2, n, m, generator=generator) for n, m in ((1, 64), (23, inner)))
    weight = torch.randn(2, inner, 64, generator=generator)
    expected, out = torch.baddbmm(bias, x, weight), torch.empty(2, 23, 64)
    make_call(aten.baddbmm.default, (bias, x, weight), {}, [out])()
    assert torch.equal(out, expected)


def test_the_blas_is_never_taken_for_other_bits() -> None:
    if not enable_fast_products():
        pytest.skip("torch has no oneDNN here, or its products round more")
    precision = torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore[reportAttributeAccessIssue]
    for rows, inner, columns in ((14, 256, 64), (256, 14, 64), (1, 256, 64), (64, 64, 64)):
        shapes = ((2, rows, inner), (2, inner, columns))
        geometry = tuple((s, torch.empty(s).stride()) for s in shapes)
        if _blas_is_better(aten.bmm.default, geometry, 1):
            a, b = (torch.randn(s, generator=torch.Generator().manual_seed(2)) for s in shapes)
            call = by_faster_library(aten.bmm.default, lambda a=a, b=b: torch.bmm(a, b), [a, b])
            assert torch.equal(call(), torch.bmm(a, b))
    assert torch.backends.mkldnn.matmul.fp32_precision == precision  # pyright: ignore[reportAttributeAccessIssue]
