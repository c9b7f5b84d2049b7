"""The configuration: files in, settings out, or a full account of the mistakes.

`load` reads files of any dialect; `Settings` is what the rest of the program sees of them.
"""

from manycast.config.describe import describe
from manycast.config.loading import LoadedConfiguration, load
from manycast.config.problems import ConfigurationError, Problem
from manycast.config.schema.settings import Settings

__all__ = ["ConfigurationError", "LoadedConfiguration", "Problem", "Settings", "describe", "load"]
