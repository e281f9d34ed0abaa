/** Starts the PyTorch side (torch_peer.py) in each of the ways its figure depends on. Not here: what it is asked (python.ts). */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ConfigName, directories } from '../workload.ts'
import { PeerProcess } from './peer-process.ts'

const script = fileURLToPath(new URL('./torch_peer.py', import.meta.url))
const tokenizer = fileURLToPath(new URL('../../packages/tasks/nano', import.meta.url))

export interface PythonPeer {
  readonly interpreter: string
  /** Folder TRL may write to. */
  readonly scratch: string
  readonly device: 'cpu' | 'cuda'
  /** Folder of more packages, looked at after the interpreter's own. */
  readonly packages?: string
}

/** How GNU OpenMP's threads wait at barriers: asleep (best where a core is shared) or spinning (best on a quiet machine). */
export type Wait = 'passive' | 'active'

export interface PythonVariant {
  /** 0: PyTorch's choice. */
  readonly threads: number
  readonly wait: Wait | null
  /** For a table. */
  readonly how: string
}

/** One thread has nothing to wait for; on a GPU the threads of the CPU do not matter. */
export function variantsOf({ device }: PythonPeer): readonly PythonVariant[] {
  if (device === 'cuda') return [{ threads: 0, wait: null, how: 'CUDA, float32' }]
  return [
    { threads: 1, wait: null, how: '' },
    { threads: 2, wait: 'passive', how: 'OpenMP waits passive' },
    { threads: 2, wait: 'active', how: 'OpenMP waits active' },
  ]
}

function environment({ threads, wait }: PythonVariant): Record<string, string> {
  return {
    ...(threads > 0 ? { OMP_NUM_THREADS: String(threads) } : {}),
    ...(wait ? { OMP_WAIT_POLICY: wait } : {}),
    ...(wait === 'passive' ? { GOMP_SPINCOUNT: '0' } : {}),
  }
}

export function startPython(
  peer: PythonPeer,
  mode: 'model' | 'trl',
  config: ConfigName,
  variant: PythonVariant,
  more: Readonly<Record<string, number>> = {},
): PeerProcess {
  const options = {
    config: directories[config],
    tokenizer,
    threads: variant.threads,
    scratch: peer.scratch,
    device: peer.device,
    ...(peer.packages ? { packages: peer.packages } : {}),
    ...more,
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  return new PeerProcess(peer.interpreter, [script, mode, ...args], {
    cwd: join(script, '..'),
    env: environment(variant),
  })
}
