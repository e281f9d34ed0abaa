/** An error as one message for people: what, where, how to repair. System errors get the repair that Node's own text lacks. */

const repairs: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full. What was written before is whole; free space and go on with --resume.',
  EDQUOT: 'The disk quota is used up. What was written before is whole; free space and go on with --resume.',
  EACCES: 'Give a folder that can be written (--out).',
  ENOTDIR: 'A part of this path is a file, no folder. Give another path (--out).',
  EROFS: 'Give a folder that can be written (--out).',
  EMFILE: 'Too many open files; raise the limit (ulimit -n).',
}

export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const repair = repairs[(error as NodeJS.ErrnoException).code ?? '']
  return repair ? `${error.message}. ${repair}` : error.message
}
