"""Imported by Ray's workers as they start, so that their first trial finds torch imported.

In a thread: Ray takes a worker for ready when this module is done, and would start others instead.
Nothing of Ray is imported there, which the main thread does as the first trial comes.
"""

import importlib
import os
import threading

from rayoff.search.daemons import ARCHIVE_ENVIRONMENT

if not ARCHIVE_ENVIRONMENT.items() <= os.environ.items():
    threading.Thread(
        target=importlib.import_module, args=["rayoff.search.policies"], daemon=True
    ).start()
