"""SMP in RoboTwin stable_2.0: smp_policy.adapters.robotwin.stable, of the software that put this here."""

import json
import sys
from pathlib import Path

_WHERE = json.loads((Path(__file__).resolve().parent / "where.json").read_text())
sys.path.extend(folder for folder in _WHERE if folder not in sys.path)

from smp_policy.adapters.robotwin.stable import encode_obs, eval, get_model, reset_model  # noqa: E402

__all__ = ["encode_obs", "eval", "get_model", "reset_model"]
