#!/usr/bin/env bash
# bash eval.sh [OPTIONS_FILE] [dotted.key=value ...]
# Without a file: the quick start's held-out photographs.
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
exec python test.py --options "$options" "$@"
