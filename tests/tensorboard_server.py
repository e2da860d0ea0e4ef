"""A running TensorBoard, asked through its HTTP interface."""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any


class TensorBoard:
    """A running TensorBoard and its HTTP interface."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
        options = ["--host", "127.0.0.1", "--port", "0", "--reload_interval", "1"]
        self._process = subprocess.Popen(
            command + options, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.address = found[0]
                break

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.address}/data/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as reply:
            return json.load(reply)

    def post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        headers = {"Content-Type": "application/json"}
        data = json.dumps({"experimentName": "", **body}).encode()
        url = f"{self.address}/data/plugin/hparams/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as reply:
            return json.load(reply)

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        points = self.get("plugin/scalars/scalars", run=run, tag=tag)
        return [(step, value) for _, step, value in points]

    def wait_for(self, run: str, tag: str, num_points: int) -> None:
        for _ in range(150):
            if tag in self.get("plugin/scalars/tags").get(run, ()):
                if len(self.scalars(run, tag)) >= num_points:
                    return
            time.sleep(0.2)
        raise AssertionError(f"TensorBoard shows no {num_points} points of {run}, {tag}.")

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()
