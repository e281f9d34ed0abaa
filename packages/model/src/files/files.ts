/** What the model asks of a file system. Two of them: node.ts (disk) and browser.ts (fetch); package.json's "imports" picks by platform. */

export interface FileHandle {
  stat(): Promise<{ readonly size: number }>
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  writeFile(data: Uint8Array): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

/** Signatures as in node:fs/promises. */
export interface Files {
  readFile(path: string, encoding: 'utf8'): Promise<string>
  open(path: string, flags: 'r' | 'w'): Promise<FileHandle>
  stat(path: string): Promise<unknown>
  mkdir(path: string, options: { readonly recursive: true }): Promise<unknown>
  writeFile(path: string, text: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  rm(path: string, options: { readonly force: true }): Promise<void>
}
