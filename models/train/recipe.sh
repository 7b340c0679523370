#!/bin/sh
# Makes models/tiny-qwen3, models/tiny-qwen3-draft and models/eval.jsonl again: ./recipe.sh PYTHON WORK_DIR
set -eu
python=$1 work=$2
cd "$(dirname "$0")"
mkdir -p "$work"

# Six stages; README.md says what each change was for.
stage() { # STEPS FROM STOP INIT OUT [OPTION...]
    steps=$1 from=$2 stop=$3 init=$4 out=$5
    shift 5
    "$python" train.py "$model" --steps "$steps" --from-step "$from" --stop "$stop" --out "$work/$out" \
        ${init:+--init "$work/$init/last.npz"} "$@"
}
model=target
stage 7000 0 1200 "" t1 --decay-from 0.55
stage 4000 1200 2200 t1 t2
stage 4600 2200 2400 t2 t3 --mix settled --peak 0.5 --prompt-weight 0.005
stage 4000 2400 2600 t3 t4 --mix hardened --respelled 0.5 --longest 512 --peak 0.6 --prompt-weight 0.005
stage 3050 2600 2800 t4 t5 --mix settled --respelled 0.4 --decay-from 0.5 --prompt-weight 0.005
stage 2910 2800 2910 t5 t6 --mix settled --respelled 0.4 --decay-from 0.77 --prompt-weight 0.005
model=draft
stage 2600 0 400 "" d1 --mix settled --peak 0.6
stage 1700 400 1700 d1 d2 --mix settled --respelled 0.3 --peak 0.7 --prompt-weight 0.005 --decay-from 0.5

"$python" exporting.py target "$work/t6/last.npz" ../tiny-qwen3
"$python" exporting.py draft "$work/d2/last.npz" ../tiny-qwen3-draft
"$python" cases.py ../eval.jsonl
"$python" evaluate.py target "$work/t6/last.npz" --json ../tiny-qwen3/results.json --markdown "$work/target.md"
"$python" evaluate.py draft "$work/d2/last.npz" --json ../tiny-qwen3-draft/results.json --markdown "$work/draft.md"
