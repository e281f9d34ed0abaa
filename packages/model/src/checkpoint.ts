/**
 * A model's checkpoint folder <-> its flat parameter region. Not here: the file format (safetensors.ts), the list of tensors (parameters.ts).
 */
import { join, mkdir, rename, writeFile } from '#files'
import type { ModelConfig } from './config.ts'
import { planParameters } from './parameters.ts'
import { loadTensor, loadTensorIndex, saveTensors } from './safetensors.ts'

/** Reads every parameter of `config` from a folder (or one .safetensors file) into a flat region. Tensors the model does not know are an error. */
export async function loadParameters(config: ModelConfig, path: string): Promise<Float32Array> {
  const index = await loadTensorIndex(path)
  const list = planParameters(config)
  const flat = new Float32Array(list.elementCount)
  for (const parameter of list.parameters) {
    const entry = index.get(parameter.name)
    if (!entry)
      throw new Error(
        `checkpoint: ${path} must hold ${parameter.name} [${parameter.shape}], got no such tensor. Use the checkpoint that belongs to this config.json.`,
      )
    flat.set(await loadTensor(parameter.name, entry, parameter.shape), parameter.offset)
  }
  for (const name of index.keys())
    if (!list.byName.has(name) && !(name === 'lm_head.weight' && config.tied))
      throw new Error(
        `checkpoint: ${path} holds ${name}, which this config.json has no place for. Use the config.json that belongs to the checkpoint.`,
      )
  return flat
}

/** Writes config.json and model.safetensors, each atomically. */
export async function saveParameters(
  config: ModelConfig,
  flat: Float32Array,
  directory: string,
  dtype: 'F32' | 'BF16' = 'F32',
): Promise<void> {
  await mkdir(directory, { recursive: true })
  const configPath = join(directory, 'config.json')
  await writeFile(`${configPath}.tmp`, `${JSON.stringify(config.source, null, 2)}\n`)
  await rename(`${configPath}.tmp`, configPath)
  const tensors = planParameters(config).parameters.map(({ name, shape, offset, rows, width }) => ({
    name,
    shape,
    data: flat.subarray(offset, offset + rows * width),
  }))
  await saveTensors(join(directory, 'model.safetensors'), tensors, { dtype })
}
