"""The configuration space: every choice of a trial, as a field with its range and unit.

An algorithm is a point in this space, and every architecture choice has a neutral value
("none", 0, 1). The module imports nothing heavy: a study is checked against it before torch
is loaded, which is why the algorithms' hyperparameters stand here and not in their own files.

Fields are scalars, since TensorBoard's HParams drops lists. A path such as ``critic.norm``
names a field everywhere: in a study's axes and settings, on the command line and in results.
"""

from dataclasses import dataclass, field
from typing import Literal

Activation = Literal["relu", "mish", "silu", "gelu", "elu", "tanh", "leaky_relu"]
Norm = Literal["none", "layer", "batch", "batch_joint", "group", "rms", "weight", "spectral"]
Initialization = Literal["torch", "orthogonal", "glorot", "small_output"]
Reducer = Literal["min", "mean", "lcb", "independent"]
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which transitions a trial learns from, and how they are scaled."""

    source: str = "builtin:hopper-mixed"
    """A Minari id, ``hdf5:PATH`` (D4RL's layout), ``parquet:PATH`` or ``builtin:NAME``."""
    fraction: float = 1.0
    """Share of the dataset that is kept, in (0, 1]; smaller fractions are subsets of larger."""
    unit: Literal["transition", "episode"] = "transition"
    """What the fraction counts: single transitions (SEEM's protocol) or whole episodes."""
    subset_seed: int = 0
    """Seed of the permutation whose prefix is the fraction; shared by all runs of a trial."""
    observation_normalization: Literal["none", "standard"] = "standard"
    """``standard``: (s - mean) / (std + 1e-3), statistics of the rows that are trained on."""
    reward_normalization: Literal["none", "return_range", "standard"] = "none"
    """``return_range``: times 1000 / (best - worst episode return); ``standard``: z-score.
    Both statistics are of the whole dataset, before the cut."""
    reward_scale: float = 1.0
    """Factor on the (normalised) reward, before the shift; evaluation sums raw rewards."""
    reward_shift: float = 0.0
    """Added to the scaled reward [reward]; -1 is the AntMaze convention."""
    ref_min: float | None = None
    """Return that scores 0 [reward]; None: the dataset's metadata, else D4RL's table."""
    ref_max: float | None = None
    """Return that scores 100 [reward]; None as for ``ref_min``."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A multilayer perceptron: ``depth`` hidden blocks and a linear output."""

    depth: int = 2
    """Hidden blocks, at least 1."""
    width: int = 256
    """Units of each hidden block."""
    activation: Activation = "relu"
    """Nonlinearity of the hidden blocks."""
    norm: Norm = "none"
    """Normalisation of the hidden blocks. ``batch_joint`` (CrossQ) takes its statistics over
    data and policy actions together, and is for critics; ``weight`` and ``spectral`` act on
    the weights of the hidden linear layers."""
    norm_position: Literal["before", "after"] = "before"
    """Where layer, batch, group and rms norms stand: before or after the activation."""
    norm_layers: Literal["all", "first", "last"] = "all"
    """Hidden blocks that are normalised; ``last`` is the penultimate layer of the network."""
    num_groups: int = 16
    """Groups of the group norm; must divide ``width``."""
    dropout: float = 0.0
    """Probability of dropping a hidden unit, in [0, 1); also active in bootstrap targets."""
    initialization: Initialization = "torch"
    """``torch``: uniform +-1/sqrt(fan in) on weights and biases; ``orthogonal``: gain sqrt 2,
    zero biases; ``glorot``: uniform, zero biases; ``small_output``: as ``torch``, with hidden
    biases 0.1 and the output layer uniform +-3e-3 (SAC-N, EDAC, ReBRAC)."""


@dataclass(frozen=True, kw_only=True)
class ActorConfig(NetworkConfig):
    """The policy network: S -> A, tanh output."""


@dataclass(frozen=True, kw_only=True)
class CriticConfig(NetworkConfig):
    """An ensemble of N action-value networks: S + A -> 1."""

    num_critics: int = 2
    """N, members of the ensemble."""
    reducer: Reducer = "min"
    """How N target values become one: ``min``, ``mean``, ``lcb`` (mean - lcb_weight * std,
    population std), or ``independent`` (member i learns from its own target: MSG)."""
    lcb_weight: float = 2.0
    """Standard deviations subtracted by ``lcb``; 2 is about the minimum of 25 members."""


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig:
    """Penalties on the critic's representation and weights; all are off by default."""

    rd_weight: float = 0.0
    """Weight of representation distinction (RD); useful from 1e-5 to 1e-1, 0 is off."""
    rd_stage: Literal["1", "2", "auto"] = "1"
    """``1``: policy against data; ``2``: policy against a learned out-of-distribution policy;
    ``auto``: 2 where the policy has come near the data, else 1."""
    rd_kernel: Literal["dot", "cosine", "mean_dot"] = "dot"
    """Similarity of penultimate features: dot product, cosine, or dot product over width."""
    rd_switch_distance: float = 0.05
    """Mean squared action distance below which ``auto`` uses stage 2 [action^2]."""
    dr3_weight: float = 0.0
    """Weight of DR3, the dot product of features at consecutive pairs; 0 is off."""
    weight_decay: float = 0.0
    """Share of the critic's weights, times the step size, that each step takes away (AdamW's,
    decoupled); useful from 1e-3 to 1e-1, 0 is off."""


@dataclass(frozen=True, kw_only=True)
class BCConfig:
    """Behaviour cloning: a deterministic policy fitted to the data's actions."""

    learning_rate: float = 3e-4
    """Adam step size."""


@dataclass(frozen=True, kw_only=True)
class TD3Config:
    """TD3 on a fixed dataset, without cloning; defaults are the authors'."""

    learning_rate: float = 3e-4
    """Step size of actor and critics."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Optimiser of actor and critics; ``sgd`` is for checks of SEEM's theory."""
    discount: float = 0.99
    """gamma, in [0, 1)."""
    tau: float = 0.005
    """Polyak rate of both targets, in (0, 1]; 1 copies (SEEM's protocol)."""
    q_weight: float = 2.5
    """Weight of the Q term over mean |Q|; the paper's alpha."""
    target_noise: float = 0.2
    """Standard deviation of the target policy's noise [action]."""
    target_noise_clip: float = 0.5
    """Bound on that noise [action]."""
    actor_period: int = 2
    """Critic updates per update of the actor and of both targets."""


@dataclass(frozen=True, kw_only=True)
class TD3BCConfig(TD3Config):
    """TD3+BC: TD3 whose actor also clones the data."""

    bc_weight: float = 1.0
    """Weight of the cloning error, a mean over batch and action dimensions."""


@dataclass(frozen=True, kw_only=True)
class SeemConfig:
    """How the critic is probed: SEEM on fixed rows, and statistics of Q beside it."""

    period: int = 2000
    """Gradient steps between readings [step]; 0 never reads."""
    num_rows: int = 256
    """M, probe rows; a reading depends on it, so it is fixed across the trials of a study."""
    probe_seed: int = 0
    """Seed of the draw of the probe rows from the trained rows."""
    critics: Literal["first", "all"] = "first"
    """Members that are read: the first (as published), or all, reporting the largest."""
    mask_terminations: bool = True
    """Whether rows that end an episode bootstrap from nothing; False is the authors' code."""


@dataclass(frozen=True, kw_only=True)
class StopperConfig:
    """When a run counts as lost. Factors multiply the bound max|r| / (1 - discount)."""

    mode: Literal["stop", "observe", "off"] = "stop"
    """``observe`` trains on and records what ``stop`` would have done."""
    seem_threshold: float = 0.05
    """Row-normalised SEEM at which a reading is suspicious."""
    num_suspicious: int = 3
    """Suspicious readings in a row that make a run suspect."""
    suspect_factor: float = 3.0
    """|Q| over the bound at which a run is suspect, whatever SEEM reads."""
    confirm_factor: float = 10.0
    """|Q| over the bound below which a suspect run is never stopped."""
    num_fitted: int = 5
    """Readings of |Q| that its growth law is fitted to, at least 3."""
    fit_fraction: float = 0.1
    """Share of the budget over which they are spread, in (0, 1); no forecast comes before."""
    num_confirmed: int = 2
    """Forecasts in a row, one reading of the fit apart, that must agree on a stop."""
    ceiling_factor: float = 1000.0
    """|Q| over the bound that counts as blown up, and that the forecast is asked about."""
    num_above_ceiling: int = 2
    """Readings in a row above the ceiling that stop a run without a forecast."""
    seem_held: float = 0.9
    """Share of its peak over the fit below which row-normalised SEEM is falling: growth is about
    to end, and no forecast is believed; in [0, 1], 0 asks for nothing."""
    horizon_fraction: float = 0.75
    """The late end of the forecast's interval must fall within this share of the remaining budget,
    in (0, 1]."""
    diverged_factor: float = 10.0
    """|Q| over the bound above which a run that trained to its end counts as diverged."""
    probe_speedup: int = 5
    """Factor by which a suspect run is probed more often."""
    audit_fraction: float = 0.0
    """Share of the runs that would be stopped which train on all the same, in [0, 1]: the
    report then tells how many stops were right. Drawn for each run by its seed and arm."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Rollouts of the policy in a simulator, where there is one."""

    period: int = 5000
    """Gradient steps between evaluations [step]; 0 evaluates never."""
    num_episodes: int = 10
    """Episodes of each run and evaluation."""
    seed: int = 100
    """Added to a run's seed to seed its environments."""
    environment: str | None = None
    """Gymnasium id; None: what the dataset names."""


AgentConfig = BCConfig | TD3Config | TD3BCConfig

AGENT_CONFIGS: dict[str, type[AgentConfig]] = {
    "bc": BCConfig,
    "td3": TD3Config,
    "td3_bc": TD3BCConfig,
}
"""Hyperparameters of each algorithm, by the name under which ``rayoff.agents`` has it."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One arm on one dataset at one fraction, with all its seeds: what Ray Tune schedules."""

    algorithm: str = "td3_bc"
    """A key of ``AGENT_CONFIGS``."""
    agent: AgentConfig = field(default_factory=TD3BCConfig)
    """The algorithm's own hyperparameters."""
    data: DataConfig = field(default_factory=DataConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    seem: SeemConfig = field(default_factory=SeemConfig)
    stopper: StopperConfig = field(default_factory=StopperConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    num_steps: int = 1_000_000
    """Gradient steps of each run [step]."""
    batch_size: int = 256
    """B, transitions drawn with replacement for each step."""
    precision: Precision = "float32"
    """Of the matrix products of training, forward and backward: ``tf32`` keeps 10 bits of the
    factors' fractions (GPUs from Ampere on, no CPU), ``bfloat16`` 7, and of the products too.
    Parameters, moments, losses and targets, evaluation and SEEM are float32 in all."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the K runs that train side by side."""
