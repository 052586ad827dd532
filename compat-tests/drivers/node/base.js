// What the drivers of the JavaScript clients share: bytes in JSON, files, inboxes.
'use strict'

const fs = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')

class Unsupported extends Error {}

// The most records that one answer of a member holds.
const MEMBER_RECORDS = 2000

// How often a member sends a heartbeat: it hears of a rebalance with its next one.
const heartbeatInterval = session => Math.min(Math.floor(session / 3), 3000)

const encode = value => (value === null || value === undefined ? null : Buffer.from(value).toString('base64'))
const decode = text => (text === null || text === undefined ? null : Buffer.from(text, 'base64'))

// Records as they go into answers.
const recordJSON = r => ({
  topic: r.topic,
  partition: r.partition,
  offset: Number(r.offset),
  timestamp: Number(r.timestamp),
  key: encode(r.key),
  value: encode(r.value),
  headers: r.headers.map(([name, value]) => [name, encode(value)])
})

const lines = path => {
  const all = fs.readFileSync(path)
  const found = []
  let start = 0
  while (start < all.length) {
    let end = all.indexOf(10, start)
    if (end < 0) end = all.length
    found.push(all.subarray(start, end))
    start = end + 1
  }
  return found
}

const byPartition = ([t, p], [u, q]) => (t < u ? -1 : t > u ? 1 : p - q)

// The inbox of a group's member: what came and was not returned yet, and what a commit would say.
class Inbox {
  constructor () {
    this.pending = []
    this.assigned = new Map() // "topic:partition" -> [topic, partition]
    this.next = new Map() // "topic:partition" -> one past the last record that was returned
    this.taken = new Map() // the same of what came since the client said where it begins
    this.rebalances = 0
    this.error = null
  }

  // What belongs to partitions that are gone is forgotten: whoever holds them next begins at what is committed.
  assign (partitions, counts = true) {
    this.assigned = new Map(partitions.map(([t, p]) => [`${t}:${p}`, [t, p]]))
    this.pending = this.pending.filter(r => this.assigned.has(`${r.topic}:${r.partition}`))
    for (const offsets of [this.next, this.taken]) {
      for (const key of offsets.keys()) if (!this.assigned.has(key)) offsets.delete(key)
    }
    if (counts) this.rebalances++
  }

  // The client begins again at this offset.
  rewind (topic, partition, offset) {
    const key = `${topic}:${partition}`
    if (this.next.get(key) > offset) console.error(`${new Date().toISOString()} ${key} begins again at ${offset}, ${this.next.get(key)} would be next`)
    this.pending = this.pending.filter(r => `${r.topic}:${r.partition}` !== key || r.offset < offset)
    if (this.next.get(key) > offset) this.next.delete(key)
    this.taken.set(key, BigInt(offset))
  }

  // What was on its way when its partition went is another member's now. What was on its way when the client began again
  // comes, with @platformatic/kafka, beside what it then fetched: a second time.
  receive (record) {
    const key = `${record.topic}:${record.partition}`
    if (!this.assigned.has(key)) return
    if (this.taken.has(key)) {
      if (BigInt(record.offset) < this.taken.get(key)) return
      this.taken.set(key, BigInt(record.offset) + 1n)
    }
    this.pending.push(record)
  }

  failed (e) {
    console.error(e)
    this.error = `${e.name}: ${e.message}`
  }

  take () {
    const records = this.pending.splice(0, MEMBER_RECORDS)
    for (const r of records) this.next.set(`${r.topic}:${r.partition}`, BigInt(r.offset) + 1n)
    const error = this.error
    this.error = null
    return {
      assignment: [...this.assigned.values()].sort(byPartition),
      records: records.map(recordJSON),
      rebalances: this.rebalances,
      error
    }
  }

  // [topic, partition, offset] of what a commit says.
  toCommit () {
    return [...this.next].map(([key, offset]) => [...this.assigned.get(key), offset]).sort(byPartition)
  }
}

// The ops that are the same for both clients. A subclass has openReader, openMember and the client's own ops. A reader
// has read(max, timeoutMs) and close(); a member has inbox, commit(offsets) and close().
class Base {
  constructor (bootstrap, name) {
    this.bootstrap = bootstrap
    this.name = name
    this.readers = new Map()
    this.lastReader = 0
    this.membership = null
  }

  async close () {
    for (const reader of this.readers.values()) await reader.close()
    if (this.membership) await this.membership.close()
  }

  async open_reader ({ topic, partition, from }) {
    const { reader, position } = await this.openReader(topic, [partition], from)
    this.readers.set(++this.lastReader, reader)
    return { reader: this.lastReader, position: Number(position) }
  }

  async read ({ reader, max, timeout_ms: timeout }) {
    return { records: (await this.readers.get(reader).read(max, timeout)).map(recordJSON) }
  }

  async close_reader ({ reader }) {
    await this.readers.get(reader).close()
    this.readers.delete(reader)
  }

  async consume_file ({ topic, ends, path }) {
    const waiting = new Set(ends.keys().filter(p => ends[p] > 0))
    const out = fs.openSync(path, 'w')
    let count = 0
    try {
      if (waiting.size === 0) return { count }
      const { reader } = await this.openReader(topic, [...waiting], 'start')
      try {
        while (waiting.size > 0) {
          for (const r of await reader.read(10_000, 200)) {
            const offset = Number(r.offset)
            if (offset >= ends[r.partition]) continue
            fs.writeSync(out, Buffer.concat([Buffer.from(`${r.partition}\t`), r.value ?? Buffer.alloc(0), Buffer.from('\n')]))
            count++
            if (offset + 1 >= ends[r.partition]) waiting.delete(r.partition)
          }
        }
      } finally {
        await reader.close()
      }
    } finally {
      fs.closeSync(out)
    }
    return { count }
  }

  async join (fields) {
    if (this.membership) throw new Error('one membership per driver')
    this.membership = this.openMember({ ...fields, client_id: fields.client_id ?? this.name })
  }

  member () {
    return this.joined().inbox.take()
  }

  async member_commit () {
    const member = this.joined()
    const offsets = member.inbox.toCommit()
    if (offsets.length > 0) await member.commit(offsets)
    return { offsets: offsets.map(([t, p, o]) => [t, p, Number(o)]) }
  }

  async leave () {
    const member = this.joined()
    this.membership = null
    await member.close()
  }

  joined () {
    if (!this.membership) throw new Error('not joined')
    return this.membership
  }
}

// Waits until there are max records in the list or the time is over, and takes them.
async function takeWithin (list, max, timeoutMs) {
  const deadline = Date.now() + timeoutMs
  while (list.length < max && Date.now() < deadline) await sleep(5)
  return list.splice(0, max)
}

module.exports = { Base, Inbox, Unsupported, decode, heartbeatInterval, lines, takeWithin }
