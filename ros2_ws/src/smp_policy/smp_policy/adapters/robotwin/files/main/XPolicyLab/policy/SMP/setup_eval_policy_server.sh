#!/bin/bash
# bash setup_eval_policy_server.sh BENCH TASK MODEL_FOLDER ENV_CFG joint SEED GPU CONDA_ENV PORT [HOST]
set -euo pipefail

bench_name=${1}
task_name=${2}
ckpt_name=${3}
env_cfg_type=${4}
action_type=${5}
seed=${6}
gpu_id=${7}
conda_env=${8}
port=${9}
host=${10:-127.0.0.1}

SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
XPL_ROOT="$(cd "${SCRIPT_DIR}/../.." && pwd)"

source "$(conda info --base)/etc/profile.d/conda.sh"
conda activate "${conda_env}"

exec env PYTHONWARNINGS=ignore::UserWarning CUDA_VISIBLE_DEVICES="${gpu_id}" \
    python "${XPL_ROOT}/setup_policy_server.py" \
        --config_path "${SCRIPT_DIR}/deploy.yml" \
        --overrides \
            port="${port}" \
            host="${host}" \
            bench_name="${bench_name}" \
            task_name="${task_name}" \
            ckpt_name="${ckpt_name}" \
            env_cfg_type="${env_cfg_type}" \
            seed="${seed}" \
            policy_name=SMP \
            action_type="${action_type}"
