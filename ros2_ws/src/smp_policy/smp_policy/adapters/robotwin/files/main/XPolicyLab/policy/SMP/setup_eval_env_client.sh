#!/bin/bash
# bash setup_eval_env_client.sh BENCH TASK MODEL_FOLDER ENV_CFG joint SEED GPU CONDA_ENV ADDITIONAL_INFO PORT [HOST]
set -euo pipefail

bench_name=${1}
task_name=${2}
env_cfg_type=${4}
seed=${6}
gpu_id=${7}
conda_env=${8}
additional_info=${9}
port=${10}
host=${11:-127.0.0.1}

SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
XPL_ROOT="$(cd "${SCRIPT_DIR}/../.." && pwd)"
BENCH_ROOT="$(cd "${XPL_ROOT}/.." && pwd)"

exec bash "${XPL_ROOT}/utils/setup_env_client.sh" \
    "${XPL_ROOT}/utils" "${SCRIPT_DIR}/deploy.yml" "${conda_env}" "${port}" "${bench_name}" "${task_name}" \
    "${env_cfg_type}" SMP "${additional_info}" "${BENCH_ROOT}" "${seed}" "${gpu_id}" "${host}"
