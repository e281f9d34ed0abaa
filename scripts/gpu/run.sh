#!/bin/sh
# Conformance of every op, then the benchmarks, on this machine's adapter. Arguments go to the benchmarks. Results: benchmarks/results beside this file.
# Needs a Vulkan loader (libvulkan.so.1) and a driver; nothing else.
set -e
cd "$(dirname "$0")" && [ -d bin ] || cd "$(dirname "$0")/../.."
PATH="$PWD/bin:$PATH"
export PATH
node scripts/gpu/conformance.ts
node benchmarks/bench.ts --device webgpu --write "$@"
