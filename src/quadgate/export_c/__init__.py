"""A network as one C99 source and header, for machines without Python: constant weights, no malloc, the same bits."""

from quadgate.export_c.check import Check, check
from quadgate.export_c.export import Export, export_c

__all__ = ["Check", "Export", "check", "export_c"]
