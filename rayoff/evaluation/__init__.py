"""Rollouts of trained policies: what they earn in a simulator.

Imports no torch, since worker processes import it: numpy, and Gymnasium when it is needed.
"""

from rayoff.evaluation.environment import Environment, check_environment
from rayoff.evaluation.evaluator import Evaluator, Rollout, episode_seeds
from rayoff.evaluation.policies import NormalizedPolicy, Policy
from rayoff.evaluation.video import Episode, check_video, record_episode

__all__ = [
    "Environment",
    "Episode",
    "Evaluator",
    "NormalizedPolicy",
    "Policy",
    "Rollout",
    "check_environment",
    "check_video",
    "episode_seeds",
    "record_episode",
]
