"""The benchmark's own modules are found, after all others."""

import sys

from goldsmith.settings import PROJECT_ROOT

sys.path.append(str(PROJECT_ROOT / "tests" / "bench"))
