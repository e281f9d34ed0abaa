#!/bin/sh
# On a machine with a GPU: conformance of every op, the benchmarks on its adapter, and the same beside PyTorch on CUDA where that is installed.
#   run.sh [flags of the benchmarks, as --quick]
# OUT: folder for all outputs, default `out` beside this file. PYTHON: an interpreter with PyTorch, default python3.
# Needs a Vulkan loader (libvulkan.so.1) and a driver; nothing else. Ends with 1 where a part failed; the others have run all the same.
# called by the link beside bin, or where it lies
root="$(cd "$(dirname "$0")" && pwd)"
[ -d "$root/bin" ] || root="$(cd "$root/../.." && pwd)"
cd "$root" || exit 1
PATH="$root/bin:$PATH"
export PATH
OUT="${OUT:-$PWD/out}"
PYTHON="${PYTHON:-python3}"
mkdir -p "$OUT"
failed=0

# part NAME COMMAND...: its output on the terminal and in OUT/NAME.txt
part() {
  name="$1"
  shift
  echo "== $name: $*"
  { "$@" 2>&1; echo "$?" >"$OUT/.code"; } | tee "$OUT/$name.txt"
  read -r code <"$OUT/.code"
  rm "$OUT/.code"
  [ "$code" = 0 ] && return
  echo "== $name: FAILED with code $code" | tee -a "$OUT/$name.txt"
  failed=1
}

part conformance node scripts/gpu/conformance.ts
# others may use the machine: the report says how busy it was
part bench node benchmarks/bench.ts --device webgpu --write --busy "$@"

if found="$("$PYTHON" -c 'import torch; print("PyTorch " + torch.__version__ + ", CUDA " + str(torch.cuda.is_available()))' 2>&1)"; then
  case "$found" in
    *"CUDA True"*)
      part peers node benchmarks/peers.ts --device gpu --interpreter "$PYTHON" --packages "$PWD/python" --folder "$OUT/scratch" --write --busy "$@"
      ;;
    *) echo "== peers: left out: $PYTHON has $found, and CUDA is needed" | tee "$OUT/peers.txt" ;;
  esac
else
  echo "== peers: left out: $PYTHON has no PyTorch ($(echo "$found" | tail -n 1)). PYTHON=... names another interpreter" | tee "$OUT/peers.txt"
fi

[ -d benchmarks/results ] && cp benchmarks/results/* "$OUT"
rm -rf "$OUT/scratch"
echo "== all outputs: $OUT"
exit "$failed"
