"""What a study tells while it runs: TensorBoard, progress, and the errors of its trials."""

from rayoff.callbacks.failures import Failures
from rayoff.callbacks.progress import Progress
from rayoff.callbacks.search_progress import SearchProgress
from rayoff.callbacks.summaries import Summaries

__all__ = ["Failures", "Progress", "SearchProgress", "Summaries"]
