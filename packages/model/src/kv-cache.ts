/**
 * Which row of the KV pool holds which token: a radix tree over token keys, rows in blocks of 16. Shared prompts and forks at any token
 * reuse rows; finished sequences are donated to the tree and evicted least recently used. Host bookkeeping only: the rows' values are the sampler's business.
 *
 * Key: token id, or a negative number naming the image on pads. Rows of a node never move, also when the node is split.
 */

const BLOCK = 16

interface Node {
  keys: number[]
  rows: number[]
  /** Leading tokens whose KV values have been computed (or are scheduled in the step being built). */
  computed: number
  readonly children: Map<number, Node>
  parent: Node | null
  /** Leases at or below this node. */
  leases: number
  lastUse: number
}

/** A running sequence: a path in the tree plus private rows for its last prompt token and what it generates. */
export interface Lease {
  /** KV row of every context token that has one. */
  readonly rows: number[]
  /** The same as ranges: first row and length of each, one after the other. */
  readonly ranges: number[]
  readonly keys: number[]
  /** Tokens on the shared path; the rest of rows is private. */
  readonly sharedCount: number
  /** Private rows whose values are computed or scheduled. */
  privateComputed: number
}

interface InnerLease extends Lease {
  node: Node
  reservedBlocks: number
  tailBlock: number
  tailUsed: number
  /** All tokens of the path have been computed or scheduled; that stays so. */
  pathComputed: boolean
}

function appendRow(rows: number[], ranges: number[], row: number): void {
  rows.push(row)
  const last = ranges.length - 2
  if (last >= 0 && ranges[last]! + ranges[last + 1]! === row) ranges[last + 1]!++
  else ranges.push(row, 1)
}

export class KvCache {
  readonly rowCount: number
  private readonly use: Int32Array
  private readonly free: number[] = []
  private reserved = 0
  private clock = 0
  private root: Node = this.createNode([], [], null)
  private leaseCount = 0

  /** `rowCount` rows, rounded down to whole blocks. */
  constructor(rowCount: number) {
    const blocks = Math.floor(rowCount / BLOCK)
    if (blocks < 2) throw new Error(`kv cache: needs at least ${2 * BLOCK} rows, got ${rowCount}. Raise kvRows.`)
    this.rowCount = blocks * BLOCK
    this.use = new Int32Array(blocks)
    for (let block = blocks - 1; block >= 0; block--) this.free.push(block)
  }

  private createNode(keys: number[], rows: number[], parent: Node | null): Node {
    return { keys, rows, computed: 0, children: new Map(), parent, leases: 0, lastUse: this.clock }
  }

  /** Forgets everything: the weights have changed. */
  clear(): void {
    if (this.leaseCount > 0)
      throw new Error(
        `kv cache: cannot be cleared while ${this.leaseCount} sequences run. Change weights between rollouts.`,
      )
    this.root = this.createNode([], [], null)
    this.use.fill(0)
    this.free.length = 0
    for (let block = this.use.length - 1; block >= 0; block--) this.free.push(block)
    this.reserved = 0
  }

  freeRows(): number {
    return (this.free.length - this.reserved) * BLOCK
  }

  private takeBlock(): number {
    const block = this.free.pop()
    if (block === undefined)
      throw new Error('kv cache: no free block although one was reserved. This is a bug in the reservation.')
    return block
  }

  private allocate(count: number): number[] {
    const rows: number[] = []
    while (rows.length < count) {
      const block = this.takeBlock()
      const n = Math.min(BLOCK, count - rows.length)
      for (let i = 0; i < n; i++) rows.push(block * BLOCK + i)
      this.use[block] = n
    }
    return rows
  }

  private freeRow(row: number): void {
    const block = Math.floor(row / BLOCK)
    if (--this.use[block]! === 0) this.free.push(block)
  }

  /** Splits a node after its first `length` tokens; the node stays the lower part. */
  private split(node: Node, length: number): Node {
    const upper = this.createNode(node.keys.slice(0, length), node.rows.slice(0, length), node.parent)
    upper.computed = Math.min(node.computed, length)
    upper.leases = node.leases
    upper.lastUse = node.lastUse
    node.parent!.children.set(upper.keys[0]!, upper)
    node.keys = node.keys.slice(length)
    node.rows = node.rows.slice(length)
    node.computed = Math.max(0, node.computed - length)
    node.parent = upper
    upper.children.set(node.keys[0]!, node)
    return upper
  }

  /** Deepest node that spells a prefix of keys[from, to) below `node`, splitting where the match ends inside one. */
  private descend(node: Node, keys: ArrayLike<number>, from: number, to: number): { node: Node; matched: number } {
    let at = from
    let current = node
    while (at < to) {
      const child = current.children.get(keys[at]!)
      if (!child) break
      let length = 0
      while (length < child.keys.length && at + length < to && child.keys[length] === keys[at + length]) length++
      current = length < child.keys.length ? this.split(child, length) : child
      at += length
    }
    return { node: current, matched: at - from }
  }

  /** Tokens of keys that the tree already holds (whatever their state). */
  matchLength(keys: ArrayLike<number>): number {
    let at = 0
    let current = this.root
    for (;;) {
      const child = current.children.get(keys[at]!)
      if (!child) return at
      let length = 0
      while (length < child.keys.length && at + length < keys.length && child.keys[length] === keys[at + length])
        length++
      at += length
      if (length < child.keys.length || at === keys.length) return at
      current = child
    }
  }

  /**
   * Starts a sequence of `keys` that may grow by `growth` tokens. Null when the pool has no room now; `mustFit` is then decided by the
   * caller (nothing running means it never fits).
   */
  acquire(keys: readonly number[], growth: number): Lease | null {
    this.clock++
    const shareable = keys.length - 1
    const found = this.descend(this.root, keys, 0, shareable)
    this.hold(found.node, 1)
    const rest = shareable - found.matched
    const reservedBlocks = Math.ceil((1 + growth) / BLOCK)
    const needed = Math.ceil(rest / BLOCK) + reservedBlocks
    if (!this.makeRoom(needed)) {
      this.hold(found.node, -1)
      return null
    }
    let node = found.node
    if (rest > 0) {
      const child = this.createNode(keys.slice(found.matched, shareable), this.allocate(rest), node)
      node.children.set(child.keys[0]!, child)
      child.leases = 1
      node = child
    }
    const rows: number[] = []
    const ranges: number[] = []
    for (const at of pathOf(node)) for (const row of at.rows) appendRow(rows, ranges, row)
    this.reserved += reservedBlocks
    this.leaseCount++
    const lease: InnerLease = {
      rows,
      ranges,
      keys: keys.slice(),
      sharedCount: shareable,
      privateComputed: 0,
      node,
      reservedBlocks,
      tailBlock: -1,
      tailUsed: BLOCK,
      pathComputed: false,
    }
    this.growTail(lease)
    return lease
  }

  private hold(node: Node, change: number): void {
    for (let at: Node | null = node; at; at = at.parent) {
      at.leases += change
      at.lastUse = this.clock
    }
  }

  private growTail(lease: InnerLease): void {
    if (lease.tailUsed === BLOCK) {
      if (lease.reservedBlocks === 0)
        throw new Error('kv cache: a sequence grew beyond what it asked for. Pass its largest growth to acquire.')
      lease.reservedBlocks--
      this.reserved--
      lease.tailBlock = this.takeBlock()
      lease.tailUsed = 0
    }
    appendRow(lease.rows, lease.ranges, lease.tailBlock * BLOCK + lease.tailUsed++)
    this.use[lease.tailBlock]!++
  }

  /** Adds a generated token. */
  append(lease: Lease, key: number): void {
    lease.keys.push(key)
    this.growTail(lease as InnerLease)
  }

  /**
   * Context indices whose KV values nobody has computed yet, at most `limit`, oldest first; they count as computed from now on, so a sequence that
   * shares them may run in the same step (rows are written before they are read within a step).
   */
  schedule(lease: Lease, limit: number): number[] {
    const indices: number[] = []
    let start = 0
    for (const node of pathOf((lease as InnerLease).node)) {
      while (node.computed < node.keys.length && indices.length < limit) indices.push(start + node.computed++)
      if (node.computed < node.keys.length) return indices
      start += node.keys.length
    }
    while (start + lease.privateComputed < lease.rows.length && indices.length < limit)
      indices.push(start + lease.privateComputed++)
    return indices
  }

  /** A decoding sequence: the index of its last token where only that one's values are missing, which count as computed from now on. Else -1. */
  scheduleLast(lease: Lease): number {
    const missing = lease.rows.length - lease.sharedCount - lease.privateComputed
    if (missing !== 1 || !this.isPathComputed(lease as InnerLease)) return -1
    lease.privateComputed++
    return lease.rows.length - 1
  }

  /** True when every token so far has its KV values computed or scheduled. */
  isComplete(lease: Lease): boolean {
    return lease.privateComputed === lease.rows.length - lease.sharedCount && this.isPathComputed(lease as InnerLease)
  }

  private isPathComputed(lease: InnerLease): boolean {
    if (lease.pathComputed) return true
    for (let at: Node | null = lease.node; at; at = at.parent) if (at.computed < at.keys.length) return false
    lease.pathComputed = true
    return true
  }

  /** Ends a sequence: its computed private rows go to the tree, duplicates are freed. */
  release(lease: Lease): void {
    const inner = lease as InnerLease
    this.clock++
    const { rows, keys, sharedCount } = lease
    const donated = sharedCount + lease.privateComputed
    const found = this.descend(inner.node, keys, sharedCount, donated)
    for (let i = sharedCount; i < sharedCount + found.matched; i++) this.freeRow(rows[i]!)
    for (let i = donated; i < rows.length; i++) this.freeRow(rows[i]!)
    const rest = sharedCount + found.matched
    if (rest < donated) {
      const child = this.createNode(keys.slice(rest, donated), rows.slice(rest, donated), found.node)
      child.computed = donated - rest
      found.node.children.set(child.keys[0]!, child)
    }
    this.hold(inner.node, -1)
    this.reserved -= inner.reservedBlocks
    this.leaseCount--
  }

  /** Evicts least recently used leaves until `blocks` are free beyond the reservations. */
  private makeRoom(blocks: number): boolean {
    while (this.free.length - this.reserved < blocks) {
      const leaf = this.oldestLeaf(this.root)
      if (!leaf) return false
      for (const row of leaf.rows) this.freeRow(row)
      leaf.parent!.children.delete(leaf.keys[0]!)
    }
    return true
  }

  private oldestLeaf(root: Node): Node | null {
    let oldest: Node | null = null
    const stack = [root]
    for (let node = stack.pop(); node; node = stack.pop()) {
      for (const child of node.children.values()) stack.push(child)
      if (node.parent && node.children.size === 0 && node.leases === 0 && (!oldest || node.lastUse < oldest.lastUse))
        oldest = node
    }
    return oldest
  }
}

/** From the root down to `node`. */
function pathOf(node: Node): Node[] {
  const path: Node[] = []
  for (let at: Node | null = node; at; at = at.parent) path.push(at)
  return path.reverse()
}
