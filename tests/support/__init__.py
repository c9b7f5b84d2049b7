"""What the tests of the running server share."""

from pkgutil import iter_modules

import pytest

# What fails in here shows its values, as it does in the tests themselves.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
