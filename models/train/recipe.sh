#!/bin/sh
# Makes models/tiny-qwen3, models/tiny-qwen3-draft and models/eval.jsonl again: ./recipe.sh PYTHON WORK_DIR
set -eu
python=$1 work=$2
cd "$(dirname "$0")"
mkdir -p "$work"

# Three stages: the rate of the first two was too high to end with, see README.md.
"$python" train.py target --steps 7000 --stop 1200 --out "$work/one" --decay-from 0.55
"$python" train.py target --steps 4000 --stop 2200 --out "$work/two" --init "$work/one/last.npz" --from-step 1200
"$python" train.py target --steps 4600 --out "$work/three" --init "$work/two/last.npz" --from-step 2200 \
    --mix settled --peak 0.5 --prompt-weight 0.005
"$python" train.py draft --steps 2600 --out "$work/draft" --mix settled --peak 0.6

"$python" exporting.py target "$work/three/last.npz" ../tiny-qwen3
"$python" exporting.py draft "$work/draft/last.npz" ../tiny-qwen3-draft
"$python" cases.py ../eval.jsonl
"$python" evaluate.py target "$work/three/last.npz" --json ../tiny-qwen3/results.json --markdown "$work/target.md"
"$python" evaluate.py draft "$work/draft/last.npz" --json ../tiny-qwen3-draft/results.json --markdown "$work/draft.md"
