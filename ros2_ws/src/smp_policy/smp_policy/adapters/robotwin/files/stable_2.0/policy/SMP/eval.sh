#!/bin/bash
# bash eval.sh TASK TASK_CONFIG MODEL_FOLDER SEED GPU
set -euo pipefail

task_name=${1}
task_config=${2}
model=$(realpath "${3}")
seed=${4}
export CUDA_VISIBLE_DEVICES=${5}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PYTHONWARNINGS=ignore::UserWarning \
exec python script/eval_policy.py --config policy/SMP/deploy_policy.yml \
    --overrides \
    --task_name "${task_name}" \
    --task_config "${task_config}" \
    --ckpt_setting "$(basename "${model}")" \
    --model "${model}" \
    --seed "${seed}" \
    --policy_name SMP
