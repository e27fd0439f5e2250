#!/bin/bash
# bash eval.sh RoboTwin TASK MODEL_FOLDER piper joint SEED POLICY_GPU ENV_GPU POLICY_CONDA_ENV ROBOTWIN_CONDA_ENV
# TASK_CONFIG: demo_piper_clean unless set; the scheduler of scripts/eval_policy.sh names its own.
set -euo pipefail

bench_name=${1}
task_name=${2}
model=$(realpath "${3}")
env_cfg_type=${4}
action_type=${5}
seed=${6}
policy_gpu_id=${7}
env_gpu_id=${8}
policy_conda_env=${9}
eval_env_conda_env=${10}

SCRIPT_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
UTILS_DIR="$(cd "${SCRIPT_DIR}/../../utils" && pwd)"

host=127.0.0.1
port=$(bash "${UTILS_DIR}/get_free_port.sh")
additional_info="ckpt_name=${model},action_type=${action_type}"
if [[ -z "${ROBOTWIN_EVAL_ARGS_FILE:-}" ]]; then
    additional_info+=",task_config=${TASK_CONFIG:-demo_piper_clean}"
fi

bash "${SCRIPT_DIR}/setup_eval_policy_server.sh" \
    "${bench_name}" "${task_name}" "${model}" "${env_cfg_type}" "${action_type}" "${seed}" \
    "${policy_gpu_id}" "${policy_conda_env}" "${port}" "${host}" &
server=$!
trap 'kill "${server}" 2>/dev/null || true' EXIT

bash "${UTILS_DIR}/wait_for_policy_server.sh" "${host}" "${port}" "${server}" "Policy server" 1200

bash "${SCRIPT_DIR}/setup_eval_env_client.sh" \
    "${bench_name}" "${task_name}" "${model}" "${env_cfg_type}" "${action_type}" "${seed}" \
    "${env_gpu_id}" "${eval_env_conda_env}" "${additional_info}" "${port}" "${host}"
