// @platformatic/kafka. Codecs are part of it.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const kafka = require('@platformatic/kafka')
const { Base, Inbox, Unsupported, decode, heartbeatInterval, lines } = require('./base.js')

const { TOPIC } = kafka.ConfigResourceTypes
const { EARLIEST, LATEST } = kafka.ListOffsetTimestamps
const { SET, DELETE } = kafka.IncrementalAlterConfigOperationTypes

// The library sends a batch per partition and call, so a big file goes in several calls.
const BYTES_PER_SEND = 500_000

// The package exports neither its version nor its package.json, so that is looked for above its main file.
function installedVersion () {
  let dir = path.dirname(require.resolve('@platformatic/kafka'))
  while (!fs.existsSync(path.join(dir, 'package.json'))) dir = path.dirname(dir)
  return JSON.parse(fs.readFileSync(path.join(dir, 'package.json'))).version
}

// Reads partitions by the library's plain fetch: its streams need a group.
class Reader {
  constructor (consumer, topic, positions) {
    this.consumer = consumer
    this.topic = topic
    this.positions = positions // partition -> next offset
    this.fetched = [] // and not read yet
  }

  async read (max, timeoutMs) {
    const deadline = Date.now() + timeoutMs
    while (this.fetched.length < max && Date.now() < deadline) await this.fetch(Math.min(100, deadline - Date.now()))
    return this.fetched.splice(0, max)
  }

  async fetch (waitMs) {
    const { id, partitions } = (await this.consumer.metadata({ topics: [this.topic] })).topics.get(this.topic)
    const nodes = Map.groupBy(this.positions.keys(), p => partitions[p].leader)
    for (const [node, wanted] of nodes) {
      const response = await this.consumer.fetch({
        node,
        minBytes: 1,
        maxWaitTime: waitMs,
        topics: [{ topicId: id, partitions: wanted.map(partition => this.wanted(partition, partitions[partition].leaderEpoch)) }]
      })
      for (const { partitionIndex: partition, records: batches } of response.responses.flatMap(r => r.partitions)) {
        for (const batch of batches ?? []) this.take(partition, batch)
      }
    }
  }

  wanted (partition, leaderEpoch) {
    return {
      partition,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: this.positions.get(partition),
      lastFetchedEpoch: -1,
      partitionMaxBytes: 2 << 20
    }
  }

  take (partition, batch) {
    for (const r of batch.records) {
      const offset = batch.firstOffset + BigInt(r.offsetDelta)
      if (offset < this.positions.get(partition)) continue // what stands before it in the batch
      this.positions.set(partition, offset + 1n)
      this.fetched.push({
        topic: this.topic,
        partition,
        offset,
        timestamp: batch.firstTimestamp + r.timestampDelta,
        key: r.key,
        value: r.value,
        headers: r.headers.map(([name, value]) => [String(name), value])
      })
    }
  }

  close () {
    return this.consumer.close(true)
  }
}

class Member {
  constructor (consumer, topics) {
    this.consumer = consumer
    this.inbox = new Inbox()
    consumer.on('consumer:group:join', () => this.inbox.assign(this.assignments()))
    consumer.on('consumer:heartbeat:error', ({ error }) => this.inbox.failed(error))
    this.started = this.start(topics).catch(e => this.inbox.failed(e))
  }

  assignments () {
    return (this.consumer.assignments ?? []).flatMap(({ topic, partitions }) => partitions.map(p => [topic, p]))
  }

  async start (topics) {
    const stream = await this.consumer.consume({ topics, mode: 'committed', fallbackMode: 'earliest', autocommit: false })
    // After each rebalance the library begins at what is committed, if something is.
    stream.on('offsets', () => {
      for (const [topic, partition] of this.assignments()) {
        const offset = stream.offsetsToFetch.get(`${topic}:${partition}`)
        if (offset !== undefined) this.inbox.rewind(topic, partition, offset)
      }
    })
    stream.on('error', e => this.inbox.failed(e))
    stream.on('data', m => this.inbox.receive({
      topic: m.topic,
      partition: m.partition,
      offset: m.offset,
      timestamp: m.timestamp,
      key: m.key,
      value: m.value,
      headers: m.headerEntries.map(([name, value]) => [String(name), value])
    }))
  }

  // The library joins anew for each commit that is refused in a rebalance, which begins another: several members that
  // commit all the time would never come to an end. So there is none between a member's JoinGroup and its assignment.
  async commit (offsets) {
    if (!this.consumer.isActive()) throw new Error('a rebalance is under way')
    await this.consumer.commit({
      offsets: offsets.map(([topic, partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 }))
    })
  }

  async close () {
    await this.started
    await this.consumer.close(true)
  }
}

class Driver extends Base {
  constructor (bootstrap, name) {
    super(bootstrap, name)
    this.version = installedVersion()
    this.options = { clientId: name, bootstrapBrokers: bootstrap.split(',') }
    this.opened = null
  }

  get admin () {
    this.opened ??= new kafka.Admin(this.options)
    return this.opened
  }

  async close () {
    await super.close()
    if (this.opened) await this.opened.close()
  }

  async create_topic ({ topic, partitions, replicas, configs }) {
    const entries = Object.entries(configs ?? {}).map(([name, value]) => ({ name, value }))
    await this.admin.createTopics({ topics: [topic], partitions, replicas, configs: entries })
  }

  async delete_topic ({ topic }) {
    await this.admin.deleteTopics({ topics: [topic] })
  }

  async producing (codec, idempotent, work) {
    const producer = new kafka.Producer({
      ...this.options,
      compression: codec ?? 'none',
      ...(idempotent === null || idempotent === undefined ? {} : { idempotent })
    })
    try {
      return await work(async messages => (await producer.send({ messages, acks: kafka.ProduceAcks.ALL })).offsets)
    } finally {
      await producer.close()
    }
  }

  async produce ({ topic, records, codec, idempotent }) {
    const messages = records.map(r => ({
      topic,
      partition: r.partition ?? undefined,
      key: decode(r.key) ?? undefined,
      value: decode(r.value) ?? undefined,
      headers: new Map((r.headers ?? []).map(([name, value]) => [Buffer.from(name), decode(value)])),
      timestamp: r.timestamp === null || r.timestamp === undefined ? undefined : BigInt(r.timestamp)
    }))
    const told = await this.producing(codec, idempotent, send => send(messages))
    // It tells base offsets, so what it chose a partition for is known only if there was no choice.
    const base = new Map(told.map(o => [o.partition, Number(o.offset)]))
    const only = base.size === 1 ? [...base.keys()][0] : null
    if (only === null && records.some(r => (r.partition ?? null) === null)) return { offsets: null }
    if (records.some(r => !base.has(r.partition ?? only))) return { offsets: null } // after a retry it may tell of some only
    const counts = new Map()
    return {
      offsets: records.map(r => {
        const partition = r.partition ?? only
        const nth = counts.get(partition) ?? 0
        counts.set(partition, nth + 1)
        return [partition, base.get(partition) + nth]
      })
    }
  }

  async produce_file ({ topic, path, codec, partition }) {
    const values = lines(path)
    await this.producing(codec, null, async send => {
      let messages = []
      let bytes = 0
      for (const value of values) {
        messages.push({ topic, value, partition: partition ?? undefined })
        bytes += value.length
        if (bytes >= BYTES_PER_SEND) {
          await send(messages)
          messages = []
          bytes = 0
        }
      }
      if (messages.length > 0) await send(messages)
    })
    return { count: values.length }
  }

  consumer (more) {
    return new kafka.Consumer({ ...this.options, groupId: 'unused', autocommit: false, maxWaitTime: 100, ...more })
  }

  // The offset at a time (or LATEST, EARLIEST) of each partition, null where there is none.
  async offsets (topic, partitions, timestamp) {
    const told = await this.admin.listOffsets({
      topics: [{ name: topic, partitions: partitions.map(partitionIndex => ({ partitionIndex, timestamp })) }]
    })
    const found = new Map(told[0].partitions.map(p => [p.partitionIndex, p.offset]))
    return partitions.map(p => (found.get(p) >= 0n ? found.get(p) : null))
  }

  async openReader (topic, partitions, from) {
    let offsets
    if (from === 'start') offsets = await this.offsets(topic, partitions, EARLIEST)
    else if (from === 'end') offsets = await this.offsets(topic, partitions, LATEST)
    else if ('offset' in from) offsets = partitions.map(() => BigInt(from.offset))
    else {
      offsets = await this.offsets(topic, partitions, BigInt(from.time))
      const ends = await this.offsets(topic, partitions, LATEST)
      offsets = offsets.map((offset, i) => offset ?? ends[i])
    }
    const positions = new Map(partitions.map((p, i) => [p, offsets[i]]))
    return { reader: new Reader(this.consumer(), topic, positions), position: offsets[0] }
  }

  openMember ({ group, topics, instance_id: instance, session_timeout_ms: session, assignor, client_id: clientId }) {
    if (assignor && assignor !== 'roundrobin' && assignor !== 'cooperative-sticky') {
      throw new Unsupported('@platformatic/kafka has roundrobin and cooperative-sticky')
    }
    return new Member(this.consumer({
      clientId,
      groupId: group,
      ...(instance ? { groupInstanceId: instance } : {}),
      ...(session ? { sessionTimeout: session, heartbeatInterval: heartbeatInterval(session), rebalanceTimeout: Math.max(session, 60_000) } : {}),
      ...(assignor ? { protocols: [{ name: assignor, version: assignor === 'roundrobin' ? 1 : 3 }] } : {})
    }), topics)
  }

  async committed ({ group, topic, partitions }) {
    const told = await this.admin.listConsumerGroupOffsets({
      groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: partitions }] }]
    })
    const found = new Map(told[0].topics.flatMap(t => t.partitions).map(p => [p.partitionIndex, Number(p.committedOffset)]))
    return { offsets: partitions.map(p => (found.get(p) >= 0 ? found.get(p) : null)) }
  }

  async offset_for_time ({ topic, partition, time }) {
    const [offset] = await this.offsets(topic, [partition], BigInt(time))
    return { offset: offset === null ? null : Number(offset) }
  }

  async describe_config ({ topic }) {
    const [told] = await this.admin.describeConfigs({ resources: [{ resourceType: TOPIC, resourceName: topic }] })
    return { configs: Object.fromEntries(told.configs.map(c => [c.name, c.value])) }
  }

  async alter_config ({ topic, set, delete: remove }) {
    const configs = Object.entries(set ?? {}).map(([name, value]) => ({ name, value, configOperation: SET }))
    for (const name of remove ?? []) configs.push({ name, configOperation: DELETE })
    await this.admin.incrementalAlterConfigs({ resources: [{ resourceType: TOPIC, resourceName: topic, configs }] })
  }

  async delete_records ({ topic, offsets }) {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: BigInt(offset) }))
    const told = await this.admin.deleteRecords({ topics: [{ name: topic, partitions }] })
    return { low: Object.fromEntries(told[0].partitions.map(p => [p.partition, Number(p.lowWatermark)])) }
  }

  async list_groups () {
    return { groups: [...(await this.admin.listGroups()).keys()] }
  }

  async describe_group ({ group }) {
    const told = (await this.admin.describeGroups({ groups: [group] })).get(group)
    return { state: told.state, members: [...told.members.values()].map(m => m.clientId) }
  }
}

module.exports = { Driver }
