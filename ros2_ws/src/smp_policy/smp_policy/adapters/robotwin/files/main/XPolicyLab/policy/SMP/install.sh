#!/bin/bash
# Into the environment that is active: XPolicyLab's server, and what runs a model.
set -euo pipefail

XPL_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

python -m pip install -e "${XPL_ROOT}"
python -m pip install onnxruntime
