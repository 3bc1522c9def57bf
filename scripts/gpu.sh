#!/usr/bin/env bash
# Makes the most of a short time on a machine with a CUDA PyTorch, compilers and no network.
#
#   scripts/gpu.sh pack [DATA]   here: build/gpu with all that machine lacks (Node, packages, golden values, images)
#   scripts/gpu.sh run [MINUTES] there, in a copy of this repository with build/gpu: builds against its PyTorch, checks
#                                kernels and parity on the GPU, measures, and searches with the minutes that are left
#
# DDSAS_GPU_OUT: where `run` writes logs, results and the run folder (build/gpu/out). A search that was cut off goes on
# where it stood when that folder is brought back. DDSAS_ADDON: an addon built elsewhere against the same PyTorch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pack=build/gpu
packages=(zod commander pure-rand cli-progress protobufjs long @protobufjs tsx esbuild @esbuild get-tsconfig resolve-pkg-maps
  sharp @img detect-libc semver tar minipass minizlib chownr yallist @isaacs node-addon-api node-api-headers)

pack_all() {
  local data=${1:-data} shared=${DDSAS_SHARED:-../shared}
  if [ ! -d "$data" ]; then
    echo "gpu.sh: there is no CIFAR-10 in $data: name its folder, or get it with: npx ddsas data fetch cifar10" >&2
    exit 2
  fi
  rm -rf "$pack" && mkdir -p "$pack"
  cp "$(command -v node)" "$pack/node"
  strip "$pack/node"
  xz -T0 "$pack/node"
  local found=()
  for name in "${packages[@]}"; do [ -e "node_modules/$name" ] && found+=("node_modules/$name"); done
  tar --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.cts' --exclude='*.md' -cJf "$pack/packages.tar.xz" "${found[@]}"
  if [ -d "$shared/fixtures/official" ]; then tar -C "$shared" -cJf "$pack/golden.tar.xz" fixtures/official; fi
  # what is measured there names the code, which has no git with it
  git rev-parse HEAD > "$pack/commit"
  node scripts/gpu/part-of-cifar.mjs "$data" "$pack/cifar" 6400 500
  tar -C "$pack" -cJf "$pack/cifar.tar.xz" cifar && rm -r "$pack/cifar"
  local bytes
  bytes=$(du -sb "$pack" | cut -f1)
  echo "packed $((bytes / 1000000)) MB in $pack"
  if [ "$bytes" -gt 60000000 ]; then echo "gpu.sh: that is more than 60 MB: pack fewer images" >&2; exit 1; fi
}

unpack() { python3 -c 'import lzma, shutil, sys
with lzma.open(sys.argv[1]) as a, open(sys.argv[2], "wb") as b: shutil.copyfileobj(a, b)' "$1" "$2"; }

run_all() {
  local began=$SECONDS minutes=${1:-9}
  local out=${DDSAS_GPU_OUT:-$pack/out}
  mkdir -p "$out"
  if [ ! -x "$pack/bin/node" ]; then
    mkdir -p "$pack/bin"
    unpack "$pack/node.xz" "$pack/bin/node.part" && chmod +x "$pack/bin/node.part" && mv "$pack/bin/node.part" "$pack/bin/node"
    for name in packages golden cifar; do
      [ -e "$pack/$name.tar.xz" ] || continue
      unpack "$pack/$name.tar.xz" "$pack/$name.tar"
      tar -xf "$pack/$name.tar" -C "$([ $name = packages ] && echo . || echo "$pack")" && rm "$pack/$name.tar"
    done
  fi
  export PATH="$PWD/$pack/bin:$PATH" DDSAS_SHARED="$PWD/$pack"
  if [ -s "$pack/commit" ]; then DDSAS_COMMIT="${DDSAS_COMMIT:-$(cat "$pack/commit")}" && export DDSAS_COMMIT; fi
  if [ -z "${DDSAS_ADDON:-}" ]; then
    node scripts/gpu/build.mjs > "$out/build.log" 2>&1 || { tail -n 40 "$out/build.log"; exit 1; }
    echo "built in $((SECONDS - began)) s, $(grep -c 'native/.*warning:' "$out/build.log") warnings ($out/build.log)"
  fi
  node --import tsx bench/gpu/main.ts --out "$out" --data "$pack/cifar" --seconds $((minutes * 60 - SECONDS + began)) \
    ${DDSAS_GPU_STEPS:+--steps "$DDSAS_GPU_STEPS"} 2>&1 | tee "$out/gpu.log"
}

case ${1:-} in
pack) pack_all "${@:2}" ;;
run) run_all "${@:2}" ;;
*)
  echo "gpu.sh: say what to do: scripts/gpu.sh pack [DATA] or scripts/gpu.sh run [MINUTES]" >&2
  exit 2
  ;;
esac
