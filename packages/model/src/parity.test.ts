/** Parity with Hugging Face on both back-ends. The wide build of the CPU: wide.test.ts. */
import { cpuBackends, webGpuBackend } from './backends.fixture.ts'
import { describeParity } from './parity-suite.fixture.ts'

// two threads give the bits of one: sampler-trainer.test.ts, learner.test.ts
const oneThread = cpuBackends.filter(({ threads }) => threads === 1)
for (const backend of [...oneThread, await webGpuBackend('model/parity')]) describeParity(backend)
