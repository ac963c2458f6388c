"""The bench of the ONNX formats serves here too: engines are built from its graphs."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "formats"))
