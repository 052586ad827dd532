"""aiokafka, on an event loop in a thread of its own."""

import asyncio
import threading

import aiokafka
from aiokafka import admin
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import for_code

import base

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}


class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, timeout_s=4 * base.TIMEOUT_S):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)


def records(polled):
    return [
        base.Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
        for batch in polled.values() for r in batch
    ]


class Reader(base.Reader):
    def __init__(self, loop, consumer):
        self.loop, self.consumer = loop, consumer

    def poll(self, timeout_s, most):
        return records(self.loop.run(self.consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=most)))

    def close(self):
        self.loop.run(self.consumer.stop())


class Listener(ConsumerRebalanceListener):
    def __init__(self, membership):
        self.membership = membership

    async def on_partitions_revoked(self, revoked):
        self.membership.revoked([tuple(p) for p in revoked])

    async def on_partitions_assigned(self, assigned):
        self.membership.assigned([tuple(p) for p in assigned])


class Membership(base.Membership):
    def __init__(self, loop, consumer, topics):
        super().__init__()
        self.loop, self.consumer = loop, consumer
        consumer.subscribe(topics, listener=Listener(self))

    def poll(self, timeout_s):
        # Taken over on the loop, where the listener runs too: a rebalance can't come in between.
        async def take():
            self.received(records(await self.consumer.getmany(timeout_ms=int(timeout_s * 1000))))

        self.loop.run(take())

    def commit(self, offsets):
        self.loop.run(self.consumer.commit({aiokafka.TopicPartition(t, p): o for (t, p), o in offsets.items()}))

    def close(self):
        self.loop.run(self.consumer.stop())


class Driver(base.Driver):
    def __init__(self, bootstrap, name):
        super().__init__(bootstrap, name)
        self.loop = Loop()
        self._admin = None

    def version(self):
        return aiokafka.__version__

    def close(self):
        super().close()
        if self._admin:
            self.loop.run(self._admin.close())

    def ask(self, call, *args, **fields):
        """Call a method of the admin client, which is started when it is first needed."""
        async def work():
            if self._admin is None:
                client = admin.AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, client_id=self.name)
                await client.start()
                self._admin = client
            return await getattr(self._admin, call)(*args, **fields)

        return self.loop.run(work())

    def check(self, results):
        """Raise what an answer (name, error code, ...) tells."""
        for result in results:
            if result[1]:
                raise for_code(result[1])(*result)

    def op_create_topic(self, topic, partitions, replicas, configs=None):
        wanted = admin.NewTopic(topic, partitions, replicas, topic_configs=configs or {})
        self.check(self.ask("create_topics", [wanted]).topic_errors)

    def op_delete_topic(self, topic):
        self.check(self.ask("delete_topics", [topic]).topic_error_codes)

    async def producer(self, codec, idempotent):
        more = {} if idempotent is None else {"enable_idempotence": idempotent}
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, client_id=self.name, compression_type=None if codec == "none" else codec,
            acks="all", linger_ms=5, max_request_size=10_000_000, **more)
        await producer.start()
        return producer

    def op_produce(self, topic, records, codec="none", idempotent=None):
        if any(r.get("key") is None and r.get("value") is None for r in records):
            raise base.Unsupported("aiokafka sends no record with neither key nor value")

        async def work():
            producer = await self.producer(codec, idempotent)
            try:
                futures = [
                    await producer.send(
                        topic, value=base.decode(r.get("value")), key=base.decode(r.get("key")),
                        headers=[(k, base.decode(v)) for k, v in r.get("headers") or []],
                        partition=r.get("partition"), timestamp_ms=r.get("timestamp"))
                    for r in records
                ]
                return [await f for f in futures]
            finally:
                await producer.stop()

        return {"offsets": [[m.partition, m.offset] for m in self.loop.run(work())]}

    def op_produce_file(self, topic, path, codec="none", partition=None):
        async def work():
            producer = await self.producer(codec, None)
            try:
                futures = [await producer.send(topic, value=line, partition=partition) for line in base.lines(path)]
                for f in futures:
                    await f
                return len(futures)
            finally:
                await producer.stop()

        return {"count": self.loop.run(work())}

    def consumer(self, **more):
        return aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=100,
            auto_offset_reset="earliest", **{"client_id": self.name, **more})

    def open_reader(self, topic, partitions, start):
        async def work():
            consumer = self.consumer()
            wanted = [aiokafka.TopicPartition(topic, p) for p in partitions]
            await consumer.start()
            # Looked up before assign: from then on a reset to the start may be on its way.
            positions = await self.positions(consumer, wanted, start)
            consumer.assign(wanted)
            for p in wanted:
                consumer.seek(p, positions[p])
            return consumer, await consumer.position(wanted[0])

        consumer, position = self.loop.run(work())
        return Reader(self.loop, consumer), position

    async def positions(self, consumer, partitions, start):
        if start == "start":
            return await consumer.beginning_offsets(partitions)
        if start == "end":
            return await consumer.end_offsets(partitions)
        kind, value = start
        if kind == "offset":
            return {p: value for p in partitions}
        found = await consumer.offsets_for_times({p: value for p in partitions})
        ends = await consumer.end_offsets(partitions)
        return {p: found[p].offset if found[p] else ends[p] for p in partitions}

    def new_membership(self, group, topics, instance_id, session_timeout_ms, assignor, client_id):
        if assignor == "cooperative-sticky":
            raise base.Unsupported("aiokafka has range, roundrobin and sticky")
        more = {"client_id": client_id}
        if assignor:
            more["partition_assignment_strategy"] = [ASSIGNORS[assignor]]
        if session_timeout_ms:
            more["session_timeout_ms"] = session_timeout_ms
            more["heartbeat_interval_ms"] = base.heartbeat_ms(session_timeout_ms)

        async def work():
            consumer = self.consumer(group_id=group, group_instance_id=instance_id, **more)
            member = Membership(self.loop, consumer, topics)
            await consumer.start()
            return member

        return self.loop.run(work())

    def op_committed(self, group, topic, partitions):
        wanted = [aiokafka.TopicPartition(topic, p) for p in partitions]
        told = self.ask("list_consumer_group_offsets", group, partitions=wanted)
        offsets = [told[p].offset if p in told else -1 for p in wanted]
        return {"offsets": [o if o >= 0 else None for o in offsets]}

    def op_offset_for_time(self, topic, partition, time):
        async def work():
            consumer = self.consumer()
            await consumer.start()
            try:
                wanted = aiokafka.TopicPartition(topic, partition)
                return (await consumer.offsets_for_times({wanted: time}))[wanted]
            finally:
                await consumer.stop()

        found = self.loop.run(work())
        return {"offset": found.offset if found else None}

    def describe(self, topic):
        """The entries (name, value, read-only, default or source, sensitive, ...) of a topic."""
        resource = admin.config_resource.ConfigResource(admin.config_resource.ConfigResourceType.TOPIC, topic)
        code, message, _, _, entries, *_ = self.ask("describe_configs", [resource])[0].resources[0]
        if code:
            raise for_code(code)(message)
        return entries

    def op_describe_config(self, topic):
        return {"configs": {entry[0]: entry[1] for entry in self.describe(topic)}}

    def op_alter_config(self, topic, set=None, delete=None):
        # The library has the old call only, which replaces everything that is set.
        own = 1  # source: the topic's own setting
        configs = {entry[0]: entry[1] for entry in self.describe(topic) if entry[3] == own}
        configs.update(set or {})
        for name in delete or []:
            configs.pop(name, None)
        kind = admin.config_resource.ConfigResourceType.TOPIC
        resource = admin.config_resource.ConfigResource(kind, topic, configs=configs)
        code, message, *_ = self.ask("alter_configs", [resource])[0].resources[0]
        if code:
            raise for_code(code)(message)

    def op_delete_records(self, topic, offsets):
        wanted = {aiokafka.TopicPartition(topic, int(p)): admin.RecordsToDelete(o) for p, o in offsets.items()}
        told = self.ask("delete_records", wanted)
        return {"low": {str(p.partition): low for p, low in told.items()}}

    def op_list_groups(self):
        return {"groups": [g[0] for g in self.ask("list_consumer_groups")]}

    def op_describe_group(self, group):
        code, _, state, _, _, members, *_ = self.ask("describe_consumer_groups", [group])[0].groups[0]
        if code:
            raise for_code(code)(group)
        return {"state": state, "members": [m[1] if len(m) == 5 else m[2] for m in members]}
