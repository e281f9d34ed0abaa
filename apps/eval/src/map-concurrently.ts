/** Runs `count` asynchronous jobs with at most `limit` in flight, started in order; results in order. The first failure stops new starts and is thrown. */
export async function mapConcurrently<T>(
  count: number,
  limit: number,
  job: (index: number) => Promise<T>,
): Promise<T[]> {
  const results = new Array<T>(count)
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      try {
        results[index] = await job(index)
      } catch (error) {
        next = count
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, count) }, lane))
  return results
}
