"""Files of every framework: one entry for each format, one reader for each, none of which runs anything from a file."""

from quadgate.formats.files import load, load_network, save
from quadgate.formats.registry import FORMATS, Format

__all__ = ["FORMATS", "Format", "load", "load_network", "save"]
