"""Event files of TensorBoard: scalars, texts, and what its HParams and Custom Scalars tabs need.

Written with tensorboard's own protocol buffers, record by record: unlike its and tensorboardX's
event writers, no thread and no queue stand between ``flush`` and the file.
"""

# The modules of protocol buffers make their names as they are imported:
# pyright: reportAttributeAccessIssue=false

import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

Value = bool | float | str
"""A hyperparameter in TensorBoard; ints are floats there."""


_FILES = "events.out.tfevents.*"
_NUM_OPEN = 4
"""Categories of Custom Scalars that are open at first: each takes a screen."""


class EventFile:
    """A TensorBoard run that begins anew: older event files in its folder are removed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(_FILES):
            old.unlink()
        # Nanoseconds: a TensorBoard that watches must not take the file for the one before it.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._records = RecordWriter((folder / name).open("wb"))
        self._write(Event(file_version="brain.Event:2"))

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add finite numbers by tag."""
        self.add(
            Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]),
            step,
        )

    def add_text(self, tag: str, text: str, step: int) -> None:
        """Add a text."""
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        about = create_summary_metadata(display_name=None, description=None)
        self.add(Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=about)]), step)

    def add(self, summary: Summary, step: int = 0) -> None:
        """Add any summary."""
        self._write(Event(step=step, summary=summary))

    def flush(self) -> None:
        """Hand everything over to the file."""
        self._records.flush()

    def close(self) -> None:
        """Flush and close."""
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def read_scalars(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the scalars of a run by step, as ``add_scalars`` was given them; none, without a file.

    A last record that was not written to its end is left out.
    """
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    for file in sorted(folder.glob(_FILES)):
        for record in RawEventFileLoader(str(file)).Load():
            event = Event.FromString(record)
            values = {
                value.tag: value.simple_value
                for value in event.summary.value
                if value.HasField("simple_value")
            }
            if values:
                yield event.step, values


def chart_layout(categories: Mapping[str, Mapping[str, str]]) -> Summary:
    """Return the record that lays out the Custom Scalars tab.

    Args:
        categories: by the titles of a category and of a chart in it, a regular expression; a
            chart has a line for each tag that it matches in each run.
    """
    proto = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[_chart(*chart) for chart in charts.items()],
                closed=number >= _NUM_OPEN,
            )
            for number, (title, charts) in enumerate(categories.items())
        ]
    )
    tensor = TensorProto(dtype=DT_STRING, string_val=[proto.SerializeToString()])
    about = custom_scalar.create_summary_metadata()
    tag = custom_scalar.CONFIG_SUMMARY_TAG
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)])


def _chart(title: str, expression: str) -> layout_pb2.Chart:
    return layout_pb2.Chart(
        title=title, multiline=layout_pb2.MultilineChartContent(tag=[expression])
    )


def session_start(values: Mapping[str, Value], group: str) -> Summary:
    """Return the record that gives a run its hyperparameters and its group of seeds."""
    return hparams_pb(dict(values), trial_id=group)


def session_end(*, failed: bool) -> Summary:
    """Return the record that a run has ended."""
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    return _hparams_summary(metadata.SESSION_END_INFO_TAG, data)


def experiment(columns: Mapping[str, Iterable[Value]], metrics: Iterable[str]) -> Summary:
    """Return the record that names the columns of the HParams tab.

    Args:
        columns: values of each hyperparameter over the study; those with several come first.
        metrics: tags of the scalars that are shown beside them.
    """
    proto = api_pb2.Experiment(
        hparam_infos=[_column(name, list(values)) for name, values in columns.items()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag)
            for tag in metrics
        ],
        time_created_secs=time.time(),
    )
    data = plugin_data_pb2.HParamsPluginData(experiment=proto)
    return _hparams_summary(metadata.EXPERIMENT_TAG, data)


def _column(name: str, values: list[Value]) -> api_pb2.HParamInfo:
    kinds = {
        bool: api_pb2.DATA_TYPE_BOOL,
        float: api_pb2.DATA_TYPE_FLOAT64,
        str: api_pb2.DATA_TYPE_STRING,
    }
    info = api_pb2.HParamInfo(
        name=name, display_name=name, type=kinds[type(values[0])], differs=len(set(values)) > 1
    )
    info.domain_discrete.extend(sorted(set(values)))
    return info


def _hparams_summary(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Summary:
    about = metadata.create_summary_metadata(data)
    value = Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
