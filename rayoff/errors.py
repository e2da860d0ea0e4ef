"""Errors that a user can act on: what was expected, what was found, and the next step.

RayoffError
├── StudyError        a study file, an axis, a setting or an override is wrong
├── DatasetError      a source cannot be found, read or cut as asked
├── CheckpointError   a checkpoint is damaged or belongs to another configuration
├── ResultsError      a run folder holds no results that can be read
└── TrackerError      a tracker is not installed, or cannot be reached
"""


class RayoffError(Exception):
    """Base of every error that a user can cause and mend."""


class StudyError(RayoffError):
    """A study, one of its axes or values, or an override on the command line is wrong."""


class DatasetError(RayoffError):
    """A dataset cannot be found, read, or cut to the fraction that was asked for."""


class CheckpointError(RayoffError):
    """A checkpoint is incomplete, or was written by another configuration."""


class ResultsError(RayoffError):
    """A run folder is missing, or holds no results that can be read."""


class TrackerError(RayoffError):
    """A tracker that was asked for is not installed, or cannot be reached."""
