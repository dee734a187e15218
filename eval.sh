#!/usr/bin/env bash
# bash eval.sh [OPTIONS_FILE] [dotted.key=value ...]
# Without a file: the networks ×2 that ship, and the quick start's, on photographs that none of them has seen.
# NUM_PROCESSES=N shares the images out (one process per GPU).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

options=options/quickstart/eval.yml
if [[ ${1:-} == *.yml || ${1:-} == *.yaml ]]; then
    options=$1
    shift
fi
if [[ $options == *quickstart/* ]]; then
    python -m data.download quickstart # photographs of scikit-image's wheel; no network
fi
if [[ ${NUM_PROCESSES:-1} -gt 1 ]]; then
    exec python -m torch.distributed.run --standalone --nproc-per-node "$NUM_PROCESSES" \
        test.py --options "$options" "$@"
fi
exec python test.py --options "$options" "$@"
