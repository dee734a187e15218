#!/usr/bin/env bash
# bash train.sh [OPTIONS_FILE] [--resume auto] [--check] [dotted.key=value ...]
# Without a file: the quick start. NUM_PROCESSES=N trains with N processes on this machine (one per GPU).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

options=options/quickstart/cisrnet_x2.yml
if [[ ${1:-} == *.yml || ${1:-} == *.yaml ]]; then
    options=$1
    shift
fi
if [[ $options == *quickstart/* ]]; then
    python -m data.download quickstart # photographs of scikit-image's wheel; no network
fi
if [[ ${NUM_PROCESSES:-1} -gt 1 ]]; then
    exec python -m torch.distributed.run --standalone --nproc-per-node "$NUM_PROCESSES" \
        train.py --options "$options" "$@"
fi
exec python train.py --options "$options" "$@"
