"""Optuna's side of a search: its study, in a journal that optuna-dashboard opens while it runs.

Ray's ``OptunaSearch`` leaves a trial whose value is nan running for ever, ends the experiment
where a metric is missing, knows no constraint, and repeats the sampler's draws after a restore.
So the study is asked and told here, about points rather than trials.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial, TrialState

from rayoff.study import OBJECTIVES, Scalar, Search
from rayoff.study.space import Choices, Dimension, Draw

FILE = "optuna.journal"
"""The journal's name in a run folder."""

_CONSTRAINT = "divergence_rate"


class Journal:
    """The points of a search in an Optuna study that outlives the process.

    Args:
        path: of the journal; made if it does not exist. Its folder must be locked.
        name: of the study in it.
        search: objectives and sampler.
        pruner: compares points before their end; None: nothing does.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        search: Search,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        _mend(path)
        self._search = search
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        lock = JournalFileOpenLock(str(path.absolute()))
        self._storage = JournalStorage(JournalFileBackend(str(path.absolute()), lock_obj=lock))
        with _without_experimental_warnings():
            self._study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                directions=[OBJECTIVES[objective] for objective in search.objectives],
                pruner=pruner or optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            self._study.set_metric_names(list(search.objectives))
        self._id = self._storage.get_study_id_from_name(name)
        self._trials: dict[int, Trial] = {}

    def __len__(self) -> int:
        """Return the number of points, those that wait to be asked with them."""
        return self._storage.get_n_trials(self._id)

    def enqueue(self, params: Mapping[str, Scalar]) -> None:
        """Let ``ask`` give a point before the sampler's own."""
        self._study.enqueue_trial(dict(params))

    @property
    def num_waiting(self) -> int:
        """Points that wait to be asked."""
        waiting = self._study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        return len(waiting)

    def running(self) -> list[int]:
        """Return the numbers of the points that were asked for but not told."""
        found = self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return [trial.number for trial in found]

    def ask(self) -> tuple[int, Draw]:
        """Return the number of the next point, and who draws its values.

        What is drawn depends on the search's seed, the number and the points told so far alone,
        so that an interrupted search goes on as if it had not been.
        """
        waiting = self._study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        number = waiting[0].number if waiting else len(self)
        self._study.sampler = _make_sampler(self._search, number)
        trial = self._study.ask()
        assert trial.number == number
        self._trials[number] = trial
        return number, _draw_by(trial)

    def ask_again(self, number: int) -> Draw:
        """Return who draws the values of a running point: those that it had, then new ones."""
        self._study.sampler = _make_sampler(self._search, number)
        return _draw_by(self._trial(number))

    def is_behind(self, number: int, step: int, score: float) -> bool:
        """Take note of a score on the way, and return whether the pruner gives the point up.

        Args:
            number: of a running point.
            step: at which it has the score; one that is known already changes nothing.
            score: finite.
        """
        trial = self._trial(number)
        last = self._storage.get_trial(self._trial_id(number)).last_step
        if last is not None and step <= last:
            return False
        trial.report(score, step)
        return trial.should_prune()

    def tell(
        self, number: int, values: Sequence[float], excess: float, about: Mapping[str, Scalar]
    ) -> None:
        """End a point with a value of each objective.

        Args:
            number: of the point.
            values: finite, in the order of the objectives.
            excess: by how much its divergence rate is over what is allowed; feasible up to 0.
            about: what else is known of it, for the dashboard.
        """
        self._constrain(number, excess)
        self._end(number, about, TrialState.COMPLETE, list(values))

    def prune(self, number: int, excess: float, about: Mapping[str, Scalar]) -> None:
        """End a point that was given up: the sampler learns from its scores on the way."""
        self._constrain(number, excess)
        self._end(number, about, TrialState.PRUNED)

    def fail(self, number: int, about: Mapping[str, Scalar]) -> None:
        """End a point without a value: the sampler learns nothing from it."""
        self._end(number, about, TrialState.FAIL)

    def _constrain(self, number: int, excess: float) -> None:
        """Set the constraint, unless a process did that was killed before it told the values."""
        trial = self._trial(number)
        if _CONSTRAINT not in trial.constraints:
            trial.set_constraint(_CONSTRAINT, excess)

    def _end(
        self,
        number: int,
        about: Mapping[str, Scalar],
        state: TrialState,
        values: list[float] | None = None,
    ) -> None:
        """Annotate and tell a running point."""
        for name, value in about.items():
            self._trial(number).set_user_attr(name, value)
        self._study.tell(number, values, state)
        self._trials.pop(number, None)

    def _trial(self, number: int) -> Trial:
        """Return a running point, also of a process before this one."""
        if number not in self._trials:
            self._trials[number] = Trial(self._study, self._trial_id(number))
        return self._trials[number]

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def make_pruner(search: Search, num_steps: int) -> optuna.pruners.BasePruner | None:
    """Return who compares points before their end: ASHA, or None where no one does.

    Its rungs are in the journal, as those of Ray's own would not be, so that a resume goes on
    with them.

    Args:
        search: with ``early_stopping``.
        num_steps: of the baseline [step].
    """
    if search.early_stopping == "none":
        return None
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, round(search.min_steps_fraction * num_steps)),
        reduction_factor=search.reduction_factor,
        min_early_stopping_rate=0,
    )


def _make_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one point.

    Settings that other versions of Optuna have other defaults of are stated.
    """
    seed = int.from_bytes(hashlib.sha256(f"{search.seed}/{number}".encode()).digest()[:4])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with _without_experimental_warnings():
        return optuna.samplers.TPESampler(
            n_startup_trials=search.num_startup_points,
            n_ei_candidates=24,
            multivariate=True,
            group=True,  # parameters that are asked for together are modelled together
            constant_liar=True,  # points that run in parallel keep away from one another
            seed=seed,
        )


def _draw_by(trial: Trial) -> Draw:
    """Return a draw by Optuna; a value that the trial has already is given again."""

    def draw(path: str, dimension: Dimension) -> Scalar:
        if isinstance(dimension, Choices):
            return trial.suggest_categorical(path, dimension.choices)
        low, high, log = dimension.low, dimension.high, dimension.log
        if dimension.is_integer:
            step = 1 if dimension.step is None else int(dimension.step)
            return trial.suggest_int(path, int(low), int(high), step=step, log=log)
        return trial.suggest_float(path, low, high, step=dimension.step, log=log)

    return draw


def _mend(path: Path) -> None:
    """Remove what a process that was killed while it wrote has left: its lock, half a line."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("rb+") as file:
                file.truncate(whole)


@contextmanager
def _without_experimental_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
