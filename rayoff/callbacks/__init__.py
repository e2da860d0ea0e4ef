"""What a study tells while it runs: TensorBoard, progress, errors of trials, and trackers."""

from rayoff.callbacks.failures import Failures
from rayoff.callbacks.progress import Progress
from rayoff.callbacks.search_progress import SearchProgress
from rayoff.callbacks.summaries import Summaries
from rayoff.callbacks.tracking import trackings

__all__ = ["Failures", "Progress", "SearchProgress", "Summaries", "trackings"]
