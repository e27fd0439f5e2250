"""SMP in XPolicyLab: smp_policy.adapters.robotwin.xpolicylab, of the software that put this here."""

import json
import sys
from pathlib import Path

_WHERE = json.loads((Path(__file__).resolve().parent / "where.json").read_text())
sys.path.extend(folder for folder in _WHERE if folder not in sys.path)

from smp_policy.adapters.robotwin.xpolicylab import Model  # noqa: E402

__all__ = ["Model"]
