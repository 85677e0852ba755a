"""Faults of the default without servers."""

import shutil
import time
from contextlib import suppress
from typing import Any

from tests.chaos.faults.fault import LOCK, fault
from tests.chaos.stack import Embedded


@fault("disk full under SQLite for 5 s", LOCK, refused=True, needs=Embedded)
def disk_full(stack: Embedded) -> str:
    ballast = stack.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        fill_up(file)
        time.sleep(5)
        fill_up(file)  # SQLite may have truncated its log
        free = shutil.disk_usage(stack.disk).free
    ballast.unlink()
    assert free == 0, f"{free} bytes were free"
    return "no byte was free on its file system"


def fill_up(file: Any) -> None:
    with suppress(OSError):
        while file.write(bytes(4096)):
            pass
