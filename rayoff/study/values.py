"""Single values: their types and ranges, and how the command line writes them."""

from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args, get_origin

from rayoff.errors import StudyError
from rayoff.study.design import Scalar, did_you_mean
from rayoff.study.paths import field_types

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Bounds(NamedTuple):
    """Between what a number must lie; None: it may be any on that side."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None


_POSITIVE = Bounds(gt=0)
_NOT_NEGATIVE = Bounds(ge=0)
_AT_LEAST_ONE = Bounds(ge=1)
_SHARE = Bounds(gt=0, le=1)
_BELOW_ONE = Bounds(ge=0, lt=1)

_NETWORK_RANGES = {
    "depth": _AT_LEAST_ONE,
    "width": _AT_LEAST_ONE,
    "num_groups": _AT_LEAST_ONE,
    "dropout": _BELOW_ONE,
}

RANGES: dict[str, Bounds] = {
    "data.fraction": _SHARE,
    "data.subset_seed": _NOT_NEGATIVE,
    "data.reward_scale": _POSITIVE,
    **{
        f"{owner}.{name}": r
        for owner in ("actor", "critic")
        for name, r in _NETWORK_RANGES.items()
    },
    "critic.num_critics": _AT_LEAST_ONE,
    "critic.lcb_weight": _NOT_NEGATIVE,
    "regularizer.rd_weight": _NOT_NEGATIVE,
    "regularizer.rd_switch_distance": _NOT_NEGATIVE,
    "regularizer.dr3_weight": _NOT_NEGATIVE,
    "regularizer.weight_decay": _NOT_NEGATIVE,
    "agent.learning_rate": _POSITIVE,
    "agent.discount": _BELOW_ONE,
    "agent.tau": _SHARE,
    "agent.q_weight": _NOT_NEGATIVE,
    "agent.target_noise": _NOT_NEGATIVE,
    "agent.target_noise_clip": _NOT_NEGATIVE,
    "agent.actor_period": _AT_LEAST_ONE,
    "agent.bc_weight": _NOT_NEGATIVE,
    "seem.period": _NOT_NEGATIVE,
    "seem.num_rows": _AT_LEAST_ONE,
    "seem.probe_seed": _NOT_NEGATIVE,
    "stopper.seem_threshold": _POSITIVE,
    "stopper.num_suspicious": _AT_LEAST_ONE,
    "stopper.suspect_factor": _POSITIVE,
    "stopper.confirm_factor": _POSITIVE,
    "stopper.diverged_factor": _POSITIVE,
    "stopper.num_fitted": Bounds(ge=3),
    "stopper.fit_fraction": Bounds(gt=0, lt=1),
    "stopper.num_confirmed": _AT_LEAST_ONE,
    "stopper.ceiling_factor": _POSITIVE,
    "stopper.num_above_ceiling": _AT_LEAST_ONE,
    "stopper.seem_held": Bounds(ge=0, le=1),
    "stopper.horizon_fraction": _SHARE,
    "stopper.probe_speedup": _AT_LEAST_ONE,
    "stopper.audit_fraction": Bounds(ge=0, le=1),
    "evaluation.period": _NOT_NEGATIVE,
    "evaluation.num_episodes": _AT_LEAST_ONE,
    "evaluation.seed": _NOT_NEGATIVE,
    "num_steps": _AT_LEAST_ONE,
    "batch_size": _AT_LEAST_ONE,
}
"""Bounds of every number that has some; a number without an entry is any finite one."""


def check_value(path: str, value: object) -> Scalar:
    """Return ``value`` as the type of the field ``path``: an integer may stand for a float.

    Raises:
        StudyError: it is of another type, not among the field's choices, or out of range.
    """
    return validated(path, field_types()[path], RANGES.get(path), value, strict=True)


def parse_value(path: str, text: str) -> Scalar:
    """Return the value that the command line wrote as ``text``: 0.1, layer, true, none, 1e6.

    Raises:
        StudyError: as for ``check_value``.
    """
    annotation = field_types()[path]
    value = as_written(annotation, text)
    return validated(path, annotation, RANGES.get(path), value, strict=False)


def validated(
    name: str,
    annotation: Any,  # noqa: ANN401 - a type
    bounds: Bounds | None,
    value: object,
    *,
    strict: bool,
) -> Any:  # noqa: ANN401 - of that type
    """Return ``value`` as a type, where it lies within bounds.

    Args:
        name: of what it is a value of, for messages.
        annotation: the type; ``X | None`` takes none too.
        bounds: of a number; None: it has none.
        value: to be checked; a text where not strict.
        strict: whether it must have the type, but for an integer that stands for a float;
            else it is read from text.

    Raises:
        StudyError: it is of another type, not among the choices, or out of range.
    """
    from pydantic import ValidationError  # takes 0.1 s, which the command's help does without

    optional = NoneType in get_args(annotation)
    if optional and value is None:
        return None
    try:
        adapter = _adapter(annotation, bounds)
        if strict:
            return adapter.validate_python(value, strict=True)
        return adapter.validate_strings(value, strict=False)
    except ValidationError as error:
        # "Input should be a valid integer, unable to parse ..." -> "a valid integer"
        expected = error.errors()[0]["msg"].removeprefix("Input should be ").partition(",")[0]
    options = [str(o) for o in get_args(annotation)] if get_origin(annotation) is Literal else []
    expected = f"one of {', '.join(options)}" if options else expected
    hint = did_you_mean(str(value), options)
    raise StudyError(f"{name} must be {expected}{' or none' * optional} but got {value!r}.{hint}")


def as_written(annotation: Any, text: str) -> str | None:  # noqa: ANN401 - a type
    """Return what the command line means by a text: none where it may be, 1e6 as 1000000."""
    if NoneType in get_args(annotation) and text.lower() == "none":
        return None
    integer = annotation is int or int in get_args(annotation)
    return _without_exponent(text) if integer and "e" in text.lower() else text


@cache
def _adapter(annotation: Any, bounds: Bounds | None) -> "TypeAdapter[Any]":  # noqa: ANN401
    from pydantic import ConfigDict, Field, TypeAdapter

    present = [part for part in get_args(annotation) if part is not NoneType]
    if NoneType in get_args(annotation):
        (annotation,) = present
    if bounds is not None:
        annotation = Annotated[annotation, Field(**bounds._asdict())]
    return TypeAdapter[Any](annotation, config=ConfigDict(allow_inf_nan=False))


def _without_exponent(text: str) -> str:
    """Return "1e6" as "1000000"; what is not a whole number is returned as it is."""
    try:
        return str(int(float(text))) if float(text).is_integer() else text
    except ValueError:
        return text
