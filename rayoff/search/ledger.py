"""What is known of the points of a search: their records on disk, and which are equal."""

from collections.abc import Hashable
from pathlib import Path

from rayoff.study.plan import effective_settings
from rayoff.study.records import PointRecord, read_records, write_record


class Ledger:
    """The records of a run folder, each of which is on disk as soon as it is written.

    Args:
        run_folder: where they lie.

    Raises:
        ResultsError: a record is damaged.
    """

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._records = {record.name: record for record in read_records(run_folder)}
        self._numbers: dict[Hashable, int] = {}
        for record in self.searched:
            if record.trials and record.state != "failed":
                self._numbers.setdefault(_identity(record), record.number)

    def __getitem__(self, name: str) -> PointRecord:
        """Return the record of a name, as ``PointRecord.name`` has it."""
        return self._records[name]

    def __contains__(self, name: str) -> bool:
        """Return whether there is a record of a name."""
        return name in self._records

    @property
    def all(self) -> list[PointRecord]:
        """Every record."""
        return list(self._records.values())

    @property
    def searched(self) -> list[PointRecord]:
        """The points of the search."""
        return [record for record in self._records.values() if record.phase == "search"]

    @property
    def confirmed(self) -> list[PointRecord]:
        """The points that are, or were, trained again on fresh seeds."""
        return [record for record in self._records.values() if record.phase == "confirm"]

    @property
    def baseline(self) -> PointRecord | None:
        """The baseline; None before it began, or where it failed."""
        return next((one for one in self._records.values() if one.is_baseline), None)

    def write(self, record: PointRecord) -> None:
        """Keep a record in the place of an older one of its name."""
        self._records[record.name] = record
        write_record(self._run_folder, record)

    def followers(self, record: PointRecord) -> list[PointRecord]:
        """Return the points that wait for the values of another, which has their configuration."""
        waiting = [one for one in self.searched if one.state == "running"]
        return [one for one in waiting if one.same_as == record.number]

    def twin(self, identity: Hashable, number: int) -> int | None:
        """Return the point that has a configuration already; if none has, ``number`` has it now.

        Args:
            identity: of the configuration, as ``PlannedPoint.identity``.
            number: of the point that asks.
        """
        first = self._numbers.setdefault(identity, number)
        return None if first == number else first

    def forget_configuration(self, record: PointRecord) -> None:
        """Let the configuration of a point that failed be tried again by another."""
        self._numbers = {k: v for k, v in self._numbers.items() if v != record.number}


def _identity(record: PointRecord) -> Hashable:
    """Return what the trials of a point depend on, as ``PlannedPoint.identity``."""
    stated = list(record.params)
    return frozenset(effective_settings(trial, stated) for trial in record.trials)
