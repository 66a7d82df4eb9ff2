"""Bytes that are no message: gRPC would write a trace of ten lines for each of them, whoever sends how many."""

from __future__ import annotations

import logging

from google.protobuf.message import DecodeError

from afml.core.logging import get_logger

_GRPC = "grpc._cython.cygrpc"


class _OneLine(logging.Filter):
    """Takes malformed messages out of gRPC's own log; each is a line of ours, of which few a minute are written."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DecodeError):
            get_logger().warning("rejected", problem=f"not a message ({error})")
            return False
        return True


def log_in_one_line() -> None:
    """From now on, in this process; said again, it changes nothing."""
    logger = logging.getLogger(_GRPC)
    if not any(isinstance(one, _OneLine) for one in logger.filters):
        logger.addFilter(_OneLine())
