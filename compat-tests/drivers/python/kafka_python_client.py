"""kafka-python."""

import kafka
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

import base

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative-sticky": CooperativeStickyAssignor,
}


def records(polled):
    return [
        base.Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
        for batch in polled.values() for r in batch
    ]


class Reader(base.Reader):
    def __init__(self, consumer):
        self.consumer = consumer

    def poll(self, timeout_s, most):
        return records(self.consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most))

    def close(self):
        self.consumer.close()


class Listener(ConsumerRebalanceListener):
    def __init__(self, membership, cooperative):
        self.membership, self.cooperative = membership, cooperative

    def on_partitions_revoked(self, revoked):
        # With the other assignors this is only a notice: the library goes on at its positions in what it gets again, so
        # the next assignment tells what is gone.
        if self.cooperative:
            self.membership.revoked([tuple(p) for p in revoked])

    def on_partitions_lost(self, lost):
        self.membership.revoked([tuple(p) for p in lost])

    def on_partitions_assigned(self, assigned):
        partitions = [tuple(p) for p in assigned]
        if self.cooperative:
            self.membership.assigned(partitions)
        else:
            self.membership.replaced(partitions)


class Membership(base.Membership):
    def __init__(self, consumer, topics, cooperative):
        super().__init__()
        self.consumer = consumer
        consumer.subscribe(topics, listener=Listener(self, cooperative))

    def poll(self, timeout_s):
        self.received(records(self.consumer.poll(timeout_ms=int(timeout_s * 1000))))

    def commit(self, offsets):
        self.consumer.commit({
            kafka.TopicPartition(t, p): kafka.OffsetAndMetadata(o, "", -1) for (t, p), o in offsets.items()
        })

    def close(self):
        self.consumer.close(autocommit=False)


class Driver(base.Driver):
    def __init__(self, bootstrap, name):
        super().__init__(bootstrap, name)
        self._admin = None

    def version(self):
        return kafka.__version__

    @property
    def admin(self):
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, client_id=self.name)
        return self._admin

    def close(self):
        super().close()
        if self._admin:
            self._admin.close()

    def op_create_topic(self, topic, partitions, replicas, configs=None):
        wanted = {"num_partitions": partitions, "replication_factor": replicas, "configs": configs or {}}
        self.admin.create_topics({topic: wanted}, wait_for_metadata=True)

    def op_delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def producer(self, codec, idempotent):
        more = {} if idempotent is None else {"enable_idempotence": idempotent}
        return kafka.KafkaProducer(
            bootstrap_servers=self.bootstrap, client_id=self.name, compression_type=None if codec == "none" else codec,
            acks="all", linger_ms=5, max_request_size=10_000_000, **more)

    def op_produce(self, topic, records, codec="none", idempotent=None):
        if any(value is None for r in records for _, value in r.get("headers") or []):
            raise base.Unsupported("kafka-python sends no header without a value")
        if any(r.get("key") is None and r.get("value") is None for r in records):
            raise base.Unsupported("kafka-python sends no record with neither key nor value")
        producer = self.producer(codec, idempotent)
        try:
            futures = [
                producer.send(
                    topic, value=base.decode(r.get("value")), key=base.decode(r.get("key")),
                    headers=[(k, base.decode(v)) for k, v in r.get("headers") or []],
                    partition=r.get("partition"), timestamp_ms=r.get("timestamp"))
                for r in records
            ]
            producer.flush(60)
            told = [f.get(base.TIMEOUT_S) for f in futures]
        finally:
            producer.close(10)
        return {"offsets": [[m.partition, m.offset] for m in told]}

    def op_produce_file(self, topic, path, codec="none", partition=None):
        producer = self.producer(codec, None)
        count, failures = 0, []
        try:
            for line in base.lines(path):
                producer.send(topic, value=line, partition=partition).add_errback(failures.append)
                count += 1
            producer.flush(120)
        finally:
            producer.close(10)
        if failures:
            raise failures[0]
        return {"count": count}

    def consumer(self, **more):
        return kafka.KafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=100,
            auto_offset_reset="earliest", **{"client_id": self.name, **more})

    def open_reader(self, topic, partitions, start):
        consumer = self.consumer()
        wanted = [kafka.TopicPartition(topic, p) for p in partitions]
        consumer.assign(wanted)
        if start == "start":
            consumer.seek_to_beginning(*wanted)
        elif start == "end":
            consumer.seek_to_end(*wanted)
        else:
            for p in wanted:
                self.seek(consumer, p, *start)
        return Reader(consumer), consumer.position(wanted[0], timeout_ms=base.TIMEOUT_S * 1000)

    def seek(self, consumer, partition, kind, value):
        if kind == "time":
            found = consumer.offsets_for_times({partition: value})[partition]
            if found is None:
                consumer.seek_to_end(partition)
                return
            value = found.offset
        consumer.seek(partition, value)

    def new_membership(self, group, topics, instance_id, session_timeout_ms, assignor, client_id):
        more = {"client_id": client_id}
        if assignor:
            more["partition_assignment_strategy"] = [ASSIGNORS[assignor]]
        if session_timeout_ms:
            more["session_timeout_ms"] = session_timeout_ms
            more["heartbeat_interval_ms"] = base.heartbeat_ms(session_timeout_ms)
        consumer = self.consumer(group_id=group, group_instance_id=instance_id, **more)
        for topic in topics:
            # A leader that has no metadata yet assigns nothing, and the library forgets to ask for it again if an answer
            # without the topic is on its way.
            consumer.partitions_for_topic(topic)
        return Membership(consumer, topics, assignor == "cooperative-sticky")

    def op_committed(self, group, topic, partitions):
        wanted = [kafka.TopicPartition(topic, p) for p in partitions]
        told = self.admin.list_group_offsets({group: wanted})[group]
        offsets = [told[p].offset if p in told else -1 for p in wanted]
        return {"offsets": [o if o >= 0 else None for o in offsets]}

    def op_offset_for_time(self, topic, partition, time):
        consumer = self.consumer()
        try:
            wanted = kafka.TopicPartition(topic, partition)
            found = consumer.offsets_for_times({wanted: time})[wanted]
        finally:
            consumer.close()
        return {"offset": found.offset if found else None}

    def op_describe_config(self, topic):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        told = self.admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return {"configs": {name: entry["value"] for name, entry in told.items()}}

    def op_alter_config(self, topic, set=None, delete=None):
        changes = {name: (AlterConfigOp.SET, value) for name, value in (set or {}).items()}
        changes.update({name: (AlterConfigOp.DELETE, None) for name in delete or []})
        told = self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changes)])["topic"][topic]
        if told != "OK":
            raise RuntimeError(told)

    def op_delete_records(self, topic, offsets):
        told = self.admin.delete_records({kafka.TopicPartition(topic, int(p)): o for p, o in offsets.items()})
        return {"low": {str(p.partition): result["low_watermark"] for p, result in told.items()}}

    def op_list_groups(self):
        return {"groups": [g["group_id"] for g in self.admin.list_groups()]}

    def op_describe_group(self, group):
        told = self.admin.describe_groups([group])[group]
        return {"state": told["group_state"], "members": [m["client_id"] for m in told["members"]]}
