"""Growth laws of a diverging critic, and when |Q| will pass a limit.

Once the direction of the parameters has settled, a network of L linear layers leaves its bounds
at an order that the optimiser sets. Each law is a transform of |Q| that is linear in time:

=============  =====================  ==========================================
law            linear in the step     where
=============  =====================  ==========================================
``adam``       ``|Q|^(1/L)``          Adam, target copied: polynomial, t^L
``sgd``        ``|Q|^(-(2L-2)/L)``    SGD, target copied: infinite in finite time
``exponential``  ``log |Q|``          a target that lags
=============  =====================  ==========================================

Source:
    Yue et al. 2023, arXiv 2310.04411 (orders under SGD and Adam). The exponential law is the
    rank-one analysis of a Polyak target; the crash step from SEEM integrates the SGD law. The
    interval of a passage inverts the line's prediction interval: Fieller 1954, "Some problems in
    interval estimation".
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Law = Literal["adam", "sgd", "exponential"]

LAW_ERROR = 1.5
"""Factor by which the time left until a passage may differ from what a law says, because training
follows it only roughly; about nine in ten did not differ by more (benchmarks/audit.py)."""


@dataclass(frozen=True)
class Forecast:
    """When |Q| passes a limit, by a law fitted to its past."""

    step: float
    """First passage of the limit [step]; inf where no divergence is in sight."""
    low: float
    """Lower end of the interval of the passage [step]; inf where ``step`` is."""
    high: float
    """Upper end of the interval [step]; inf where the readings do not exclude that |Q| stays."""
    r_squared: float
    """Coefficient of determination of the law's line, at most 1; 0 for a constant |Q|."""
    slope: float
    """Slope of the law's line, [law's transform of |Q|] per step."""


def choose_law(optimizer: str, tau: float) -> Law:
    """Return the law that the optimiser and the target's Polyak rate lead to.

    Args:
        optimizer: ``adam`` or ``sgd``.
        tau: Polyak rate of the target, in (0, 1].

    Raises:
        ValueError: the optimiser is another.
    """
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer must be 'adam' or 'sgd' but got {optimizer!r}.")
    if tau < 1:
        return "exponential"
    return "adam" if optimizer == "adam" else "sgd"


def forecast(
    law: Law,
    steps: ArrayLike,
    q_abs: ArrayLike,
    limit: float,
    num_layers: int,
    confidence: float = 0.95,
    law_error: float = LAW_ERROR,
) -> Forecast:
    """Return when |Q| passes ``limit`` if it goes on by ``law``.

    The law is a least-squares line through all readings, so the caller chooses the window.

    Args:
        law: how |Q| grows.
        steps: steps of the readings [step], (T,), T >= 3, not all equal.
        q_abs: |Q| at these steps, (T,), above zero.
        limit: |Q| that is asked about, above zero; inf asks for the crash itself, which only
            ``sgd`` has: by the other laws it never comes.
        num_layers: L, linear layers of the critic; at least 2.
        confidence: of the interval as far as the scatter about the line decides it.
        law_error: factor by which the interval's distance from the last reading is stretched
            besides, at least 1; 1 takes the law at its word.

    Raises:
        ValueError: fewer than 3 readings, lengths that differ, steps that are all equal, or a
            |Q| that is not a number above zero.
    """
    times, values = _checked(steps, q_abs)
    if law == "exponential":
        y, y_limit = np.log(values), np.log(limit)
    else:
        power = 1 / num_layers if law == "adam" else -(2 * num_layers - 2) / num_layers
        y, y_limit = values**power, np.float64(limit) ** power
    line = _fit_line(times, y)
    is_growing = line.slope < 0 if law == "sgd" else line.slope > 0
    if not is_growing or math.isinf(y_limit):
        return Forecast(math.inf, math.inf, math.inf, line.r_squared, line.slope)
    step = line.x_mean + float(y_limit - line.y_mean) / line.slope
    low, high = _passage_interval(line, float(y_limit), confidence)
    now = float(times[-1])
    if low > now:
        low = now + (low - now) / law_error
    return Forecast(step, low, now + (high - now) * law_error, line.r_squared, line.slope)


def crash_from_seem(step: float, rate: float, learning_rate: float, num_layers: int) -> float:
    """Return the step at which |Q| turns infinite under SGD, from one SEEM reading.

    Near by the crash it is good to a few per cent; long before, while the direction of the
    parameters still turns, it comes out early.

    Args:
        step: when SEEM was read [step].
        rate: ``seem/rate``, SEEM over the number of probe rows.
        learning_rate: of the critic, with mean squared error over the batch.
        num_layers: L, linear layers of the critic; at least 2.

    Returns:
        The step; inf where the rate is not above zero.
    """
    if rate <= 0:
        return float("inf")
    growth = 2 * learning_rate * rate  # of the TD error's logarithm, per step
    return step + num_layers / ((2 * num_layers - 2) * growth)


def growth_exponent(steps: ArrayLike, q_abs: ArrayLike) -> float:
    """Return the exponent e of |Q| ~ t^e, a least-squares line in logarithms.

    Args:
        steps: steps of the readings [step], (T,), T >= 3, above zero.
        q_abs: |Q| at these steps, (T,), above zero.

    Raises:
        ValueError: as for ``forecast``.
    """
    times, values = _checked(steps, q_abs)
    return _fit_line(np.log(times), np.log(values)).slope


class _Line(NamedTuple):
    """A least-squares line through n points."""

    slope: float
    x_mean: float
    y_mean: float
    r_squared: float
    x_squares: float
    """Sum of squares of x about its mean."""
    variance: float
    """Of y about the line, with n - 2 degrees of freedom."""
    num_points: int


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Line:
    """Return the least-squares line."""
    x_centred, y_centred = x - x.mean(), y - y.mean()
    x_squares = float(x_centred @ x_centred)
    slope = float(x_centred @ y_centred) / x_squares
    total = float(y_centred @ y_centred)
    residual = float(np.square(y_centred - slope * x_centred).sum())
    return _Line(
        slope=slope,
        x_mean=float(x.mean()),
        y_mean=float(y.mean()),
        r_squared=1 - residual / total if total > 0 else 0.0,
        x_squares=x_squares,
        variance=residual / (len(x) - 2),
        num_points=len(x),
    )


def _passage_interval(line: _Line, y_limit: float, confidence: float) -> tuple[float, float]:
    """Return between which x a new point may lie at ``y_limit``; (x_mean, inf) if at any.

    These x solve (y_limit - line(x))^2 <= t^2 variance (1 + 1/n + (x - x_mean)^2 / x_squares).
    """
    t = _student_quantile((1 + confidence) / 2, line.num_points - 2)
    scatter = t**2 * line.variance
    rise = y_limit - line.y_mean
    # the quadratic a d^2 - 2 b d + c <= 0 in the distance d from x_mean
    a = line.slope**2 - scatter / line.x_squares
    b = rise * line.slope
    c = rise**2 - scatter * (1 + 1 / line.num_points)
    if a <= 0:  # the slope may be zero
        return line.x_mean, math.inf
    half_width = math.sqrt(max(b**2 - a * c, 0.0)) / a
    centre = line.x_mean + b / a
    return centre - half_width, centre + half_width


def _student_quantile(probability: float, num_free: int) -> float:
    """Return a quantile of Student's t, within 1%.

    Source: Cornish and Fisher's expansion, Abramowitz & Stegun 1964, 26.7.5.
    """
    if num_free == 1:
        return math.tan(math.pi * (probability - 0.5))
    z, n = NormalDist().inv_cdf(probability), float(num_free)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / n**order for order, term in enumerate(terms))


def _checked(
    steps: ArrayLike, q_abs: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, values = np.asarray(steps, np.float64), np.asarray(q_abs, np.float64)
    if times.shape != values.shape or times.ndim != 1 or len(times) < 3:
        shapes = f"{times.shape} and {values.shape}"
        raise ValueError(f"At least 3 steps and as many values are needed but got {shapes}.")
    if np.ptp(times) == 0:
        raise ValueError(f"Steps must differ but all are {times[0]:g}.")
    if not (np.isfinite(values) & (values > 0)).all():
        worst = values[~(np.isfinite(values) & (values > 0))][0]
        raise ValueError(f"|Q| must be a number above zero but got {worst}.")
    return times, values
