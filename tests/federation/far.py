"""A way to a port on loopback that is as long as one across the world: 200 ms there and back, one segment in 100 lost.

What is lost under TCP comes again, later, and all behind it waits: that is how a loss looks to whoever reads, and how
it is made here. The kernel's own windows and congestion are those of loopback.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time

WAY_S, AGAIN_S, LOST, SEGMENT = 0.1, 0.3, 0.01, 1448
"""Seconds of one way, and more until what was lost has come again; its share; bytes of a segment."""
_ON_THE_WAY = 4096
"""Segments of one direction."""


class FarLink:
    """Connections to a port, each of which takes its time.

    Attributes:
        port: To connect to.
        connections: That were made.
        passed, lost: Segments that went by, and those of them that had to come again.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self._to, self._random, self._lock = port, random.Random(seed), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = self.passed = self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self.connections += 1
                for source, target in ((near, far), (far, near)):
                    way: queue.Queue[tuple[float, bytes]] = queue.Queue(_ON_THE_WAY)
                    threading.Thread(target=self._enter, args=(source, way), daemon=True).start()
                    threading.Thread(target=self._leave, args=(way, target), daemon=True).start()

    def _enter(self, source: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
        data, due = b"x", 0.0
        while data:
            try:
                data = source.recv(SEGMENT)
            except OSError:
                data = b""
            due = max(due, time.monotonic() + WAY_S + (AGAIN_S if self._loses() else 0.0))
            way.put((due, data))

    def _leave(self, way: queue.Queue[tuple[float, bytes]], target: socket.socket) -> None:
        data = b"x"
        while data:
            due, data = way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                target.sendall(data) if data else target.shutdown(socket.SHUT_WR)

    def _loses(self) -> bool:
        with self._lock:
            self.passed += 1
            lost = self._random.random() < LOST
            self.lost += lost
            return lost
