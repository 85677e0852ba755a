"""Measurements of the machine: CPU and memory of processes, round trips on a connection."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def process_tree(pid: int) -> list[int]:
    """The process and its descendants."""
    children = []
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            children += [int(child) for child in file.read_text().split()]
    return [pid, *(found for child in children for found in process_tree(child))]


def cpu_seconds(pid: int) -> float:
    """CPU time of the process tree, user and system, with that of children that have ended."""
    ticks = 0
    for process in process_tree(pid):
        with suppress(OSError):
            text = Path(f"/proc/{process}/stat").read_text()
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def worker_megabytes(pid: int) -> float:
    """Resident memory of a worker: the mean over the two largest processes of the tree."""
    sizes = []
    for process in process_tree(pid):
        with suppress(OSError):
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    largest = sorted(sizes)[-2:]
    return sum(largest) / len(largest)


class Counter:
    """A TCP proxy on the loopback address that counts round trips, over all connections.

    One is counted when the client sends first, or again after the server has sent.
    """

    def __init__(self, host: str, port: int) -> None:
        self.trips = 0
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=[client], daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as server, suppress(OSError):
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answered = True
            while True:
                for source in select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client and answered:
                        self.trips += 1
                    answered = source is server
                    (client if source is server else server).sendall(data)
