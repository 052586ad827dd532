// kafkajs, with codecs from other packages as its documentation tells.
'use strict'

const crypto = require('node:crypto')
const zlib = require('node:zlib')
const kafkajs = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const { Base, Inbox, Unsupported, decode, heartbeatInterval, lines, takeWithin } = require('./base.js')

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Partitioners } = kafkajs

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

// The library sends a batch per partition and call, so a big file goes in several calls.
const BYTES_PER_SEND = 500_000

const OWN_SETTING = 1 // source of a topic's own configuration

const record = (topic, partition, m) => ({
  topic,
  partition,
  offset: BigInt(m.offset),
  timestamp: m.timestamp,
  key: m.key,
  value: m.value,
  headers: Object.entries(m.headers ?? {}).flatMap(([name, v]) => (Array.isArray(v) ? v : [v]).map(one => [name, one]))
})

// Header values that share a name become a list, which is how the library takes them.
function headersOf (pairs) {
  const headers = {}
  for (const [name, text] of pairs ?? []) {
    const value = decode(text)
    headers[name] = name in headers ? [].concat(headers[name], [value]) : value
  }
  return headers
}

// The library reads through groups only: each reader is the one member of a group of its own.
class Reader {
  constructor (consumer) {
    this.consumer = consumer
    this.records = []
    this.next = null // partition -> next offset; set when all has been sought
  }

  async start (topic, positions) {
    await this.consumer.connect()
    await this.consumer.subscribe({ topic, fromBeginning: true })
    await this.consumer.run({ autoCommit: false, eachBatch: async ({ batch, isStale }) => this.receive(batch, isStale()) })
    for (const [partition, offset] of positions) this.consumer.seek({ topic, partition, offset: String(offset) })
    this.next = new Map(positions.map(([partition, offset]) => [partition, BigInt(offset)]))
  }

  receive (batch, stale) {
    if (!this.next || stale || !this.next.has(batch.partition)) return
    for (const m of batch.messages) {
      if (BigInt(m.offset) < this.next.get(batch.partition)) continue
      this.records.push(record(batch.topic, batch.partition, m))
      this.next.set(batch.partition, BigInt(m.offset) + 1n)
    }
  }

  read (max, timeoutMs) {
    return takeWithin(this.records, max, timeoutMs)
  }

  close () {
    return this.consumer.disconnect()
  }
}

class Member {
  // committed asks the broker for the offsets of a topic's partitions.
  constructor (consumer, topics, committed) {
    this.consumer = consumer
    this.committed = committed
    this.inbox = new Inbox()
    consumer.on(consumer.events.REBALANCING, () => this.inbox.assign([], false))
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.inbox.assign([], false) // the library begins at what is committed again
      this.inbox.assign(Object.entries(payload.memberAssignment).flatMap(([t, ps]) => ps.map(p => [t, p])))
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => this.inbox.failed(payload.error))
    this.started = this.start(topics).catch(e => this.inbox.failed(e))
  }

  async start (topics) {
    await this.consumer.connect()
    await this.consumer.subscribe({ topics, fromBeginning: true })
    await this.run()
  }

  run () {
    return this.consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const m of batch.messages) this.inbox.receive(record(batch.topic, batch.partition, m))
      }
    })
  }

  // The library commits to the node that coordinated when the member joined for as long as the connection to it stands, whatever that
  // answers (offsetManager's getCoordinator): only who runs it anew has it look for the coordinator.
  async send (offsets) {
    try {
      await this.consumer.commitOffsets(offsets)
    } catch (e) {
      if (e.type === 'NOT_COORDINATOR_FOR_GROUP' || e.cause?.type === 'NOT_COORDINATOR_FOR_GROUP') {
        await this.consumer.stop().catch(() => {}) // it may want to tell the same node that it leaves
        await this.run()
      }
      throw e
    }
  }

  // While the library starts its consumer anew it takes commits without sending them, so the broker is asked what it has.
  async commit (offsets) {
    await this.send(offsets.map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) })))
    for (const [topic, partition, offset] of offsets) {
      const [has] = await this.committed(topic, [partition])
      if (has === null || has < Number(offset)) throw new Error(`${topic}-${partition}: the commit of ${offset} has not arrived`)
    }
  }

  async close () {
    await this.started
    await this.consumer.disconnect()
  }
}

class Driver extends Base {
  constructor (bootstrap, name) {
    super(bootstrap, name)
    this.version = require('kafkajs/package.json').version
    this.kafka = this.client(name)
    this.connected = null
  }

  client (clientId) {
    return new kafkajs.Kafka({ clientId, brokers: this.bootstrap.split(','), logLevel: kafkajs.logLevel.WARN })
  }

  async close () {
    await super.close()
    if (this.connected) await (await this.connected).disconnect()
  }

  admin () {
    this.connected ??= (async () => {
      const admin = this.kafka.admin()
      await admin.connect()
      return admin
    })()
    return this.connected
  }

  async create_topic ({ topic, partitions, replicas, configs }) {
    const configEntries = Object.entries(configs ?? {}).map(([name, value]) => ({ name, value }))
    const admin = await this.admin()
    const wanted = { topic, numPartitions: partitions, replicationFactor: replicas, configEntries }
    const made = await admin.createTopics({ topics: [wanted] })
    if (!made) throw new Error('the topic exists')
  }

  async delete_topic ({ topic }) {
    await (await this.admin()).deleteTopics({ topics: [topic] })
  }

  // Calls work with a send function that gives the base offset of each partition.
  async producing (codec, idempotent, partitioner, work) {
    const producer = this.kafka.producer({
      idempotent: idempotent ?? undefined,
      maxInFlightRequests: idempotent ? 1 : undefined,
      createPartitioner: partitioner
    })
    // connect asks for a producer id, and not again if that connection ends under it: an application connects once more.
    for (let tries = 1; ; tries++) {
      try {
        await producer.connect()
        break
      } catch (e) {
        if (!(e instanceof kafkajs.KafkaJSConnectionError) || tries === 3) throw e
      }
    }
    try {
      return await work(async (topic, messages) => {
        const told = await producer.send({ topic, messages, acks: -1, compression: CODECS[codec ?? 'none'] })
        return new Map(told.map(t => [t.partition, Number(t.baseOffset)]))
      })
    } finally {
      await producer.disconnect()
    }
  }

  async produce ({ topic, records, codec, idempotent }) {
    if (records.some(r => r.headers?.some(([, value]) => value === null))) {
      throw new Unsupported('kafkajs sends no header without a value')
    }
    const messages = records.map(r => ({
      partition: r.partition ?? undefined,
      key: decode(r.key),
      value: decode(r.value),
      headers: headersOf(r.headers),
      timestamp: r.timestamp === null || r.timestamp === undefined ? undefined : String(r.timestamp)
    }))
    const chosen = new Map() // message -> partition, as the library's partitioner chose
    const partitioner = () => {
      const choose = Partitioners.DefaultPartitioner()
      return fields => {
        const partition = choose(fields)
        chosen.set(fields.message, partition)
        return partition
      }
    }
    const base = await this.producing(codec, idempotent, partitioner, send => send(topic, messages))
    const counts = new Map()
    return {
      offsets: messages.map(m => {
        const partition = chosen.get(m)
        const nth = counts.get(partition) ?? 0
        counts.set(partition, nth + 1)
        return [partition, base.has(partition) ? base.get(partition) + nth : null] // it may tell of some partitions only
      })
    }
  }

  async produce_file ({ topic, path, codec, partition }) {
    const values = lines(path)
    await this.producing(codec, null, Partitioners.DefaultPartitioner, async send => {
      let messages = []
      let bytes = 0
      for (const value of values) {
        messages.push({ value, partition: partition ?? undefined })
        bytes += value.length
        if (bytes >= BYTES_PER_SEND) {
          await send(topic, messages)
          messages = []
          bytes = 0
        }
      }
      if (messages.length > 0) await send(topic, messages)
    })
    return { count: values.length }
  }

  async openReader (topic, partitions, from) {
    const admin = await this.admin()
    let offsets
    if (from === 'start' || from === 'end') {
      const field = from === 'start' ? 'low' : 'high'
      offsets = (await admin.fetchTopicOffsets(topic)).map(o => [o.partition, Number(o[field])])
    } else if ('offset' in from) {
      offsets = partitions.map(p => [p, from.offset])
    } else {
      offsets = (await admin.fetchTopicOffsetsByTimestamp(topic, from.time)).map(o => [o.partition, Number(o.offset)])
    }
    const positions = offsets.filter(([p]) => partitions.includes(p))
    const reader = new Reader(this.kafka.consumer({
      groupId: `reader-${crypto.randomUUID()}`,
      maxWaitTimeInMs: 100,
      heartbeatInterval: 1000
    }))
    await reader.start(topic, positions)
    return { reader, position: positions[0][1] }
  }

  openMember ({ group, topics, instance_id: instance, session_timeout_ms: session, assignor, client_id: clientId }) {
    if (instance) throw new Unsupported('kafkajs has no static membership')
    if (assignor && assignor !== 'roundrobin') throw new Unsupported('kafkajs has its round robin only')
    return new Member(this.client(clientId).consumer({
      groupId: group,
      sessionTimeout: session ?? undefined,
      heartbeatInterval: session ? heartbeatInterval(session) : undefined,
      maxWaitTimeInMs: 100
    }), topics, async (topic, partitions) => (await this.committed({ group, topic, partitions })).offsets)
  }

  async committed ({ group, topic, partitions }) {
    const told = await (await this.admin()).fetchOffsets({ groupId: group, topics: [topic] })
    const offsets = new Map(told[0].partitions.map(p => [p.partition, Number(p.offset)]))
    return { offsets: partitions.map(p => (offsets.get(p) >= 0 ? offsets.get(p) : null)) }
  }

  async offset_for_time ({ topic, partition, time }) {
    const admin = await this.admin()
    const found = (await admin.fetchTopicOffsetsByTimestamp(topic, time)).find(o => o.partition === partition)
    const end = (await admin.fetchTopicOffsets(topic)).find(o => o.partition === partition)
    // Where nothing is that late the library tells the end.
    return { offset: found.offset === end.high ? null : Number(found.offset) }
  }

  async entries (topic) {
    const told = await (await this.admin()).describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }]
    })
    return told.resources[0].configEntries
  }

  async describe_config ({ topic }) {
    return { configs: Object.fromEntries((await this.entries(topic)).map(e => [e.configName, e.configValue])) }
  }

  // The library has the old call only, which replaces everything that is set.
  async alter_config ({ topic, set, delete: remove }) {
    const own = (await this.entries(topic)).filter(e => e.configSource === OWN_SETTING).map(e => [e.configName, e.configValue])
    const configs = { ...Object.fromEntries(own), ...set }
    for (const name of remove ?? []) delete configs[name]
    await (await this.admin()).alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: Object.entries(configs).map(([name, value]) => ({ name, value }))
      }]
    })
  }

  async delete_records ({ topic, offsets }) {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: String(offset) }))
    await (await this.admin()).deleteTopicRecords({ topic, partitions })
    return { low: null }
  }

  async list_groups () {
    return { groups: (await (await this.admin()).listGroups()).groups.map(g => g.groupId) }
  }

  async describe_group ({ group }) {
    const told = (await (await this.admin()).describeGroups([group])).groups[0]
    return { state: told.state, members: told.members.map(m => m.clientId) }
  }
}

module.exports = { Driver }
