import { describe, expect, it } from 'vitest'
import { checkConfig, loadConfig, loadJson } from './config.ts'
import { createInitialParameters, initialStd } from './init.ts'
import { nanoDirectory } from './nano.ts'
import { planParameters } from './parameters.ts'

type Json = Record<string, unknown>

describe('config', () => {
  it('reads the nano model', async () => {
    const config = await loadConfig(nanoDirectory)
    expect([config.text.headChannels * config.text.heads, config.text.width]).toEqual([128, 96])
    expect(planParameters(config).parameterCount).toBe(851200)
  })

  it('accepts rope_parameters of transformers 5', async () => {
    const json = structuredClone(await loadJson(`${nanoDirectory}/config.json`)) as Json
    const text = json.text_config as Json
    text.rope_parameters = { ...(text.rope_scaling as Json), rope_theta: 123 }
    delete text.rope_scaling
    delete text.rope_theta
    expect(checkConfig(json).text.ropeTheta).toBe(123)
  })

  it.each([
    ['model_type', 'qwen3', /model_type must be "qwen3_vl", got "qwen3"/],
    ['text_config', 3, /text_config must be an object, got 3/],
    ['image_token_id', -1, /image_token_id must be a positive number, got -1/],
  ])('refuses a wrong %s', async (field, value, message) => {
    const json = { ...(await loadJson(`${nanoDirectory}/config.json`)), [field]: value }
    expect(() => checkConfig(json)).toThrow(message)
  })
})

describe('initialisation', () => {
  it('is the same for the same seed and has the announced spread', async () => {
    const config = await loadConfig(nanoDirectory)
    const flat = createInitialParameters(config, 3)
    expect(createInitialParameters(config, 3)).toEqual(flat)
    expect(createInitialParameters(config, 4)).not.toEqual(flat)
    for (const parameter of planParameters(config).parameters) {
      const values = flat.subarray(parameter.offset, parameter.offset + parameter.rows * parameter.width)
      if (parameter.kind === 'gain') expect(values.every((v) => v === 1)).toBe(true)
      else if (parameter.kind === 'bias') expect(values.every((v) => v === 0)).toBe(true)
      else {
        const std = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)
        expect(Math.abs(std / initialStd(config, parameter) - 1), parameter.name).toBeLessThan(0.1)
      }
    }
  })
})
