"""confluent-kafka: librdkafka from Python."""

import threading
import time

import confluent_kafka as ck
from confluent_kafka import admin

import base

GROUP_STATES = {
    "STABLE": "Stable",
    "EMPTY": "Empty",
    "DEAD": "Dead",
    "PREPARING_REBALANCING": "PreparingRebalance",
    "COMPLETING_REBALANCING": "CompletingRebalance",
    "ASSIGNING": "Assigning",
    "RECONCILING": "Reconciling",
}


def record(message):
    kind, timestamp = message.timestamp()
    return base.Record(
        message.topic(), message.partition(), message.offset(), -1 if kind == ck.TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(), message.value(), message.headers(),
    )


class Reader(base.Reader):
    def __init__(self, consumer):
        self.consumer = consumer

    def poll(self, timeout_s, most):
        records = []
        for message in self.consumer.consume(most, timeout_s):
            if message.error():
                if message.error().retriable() or message.error().code() == ck.KafkaError._TRANSPORT:
                    continue
                raise ck.KafkaException(message.error())
            records.append(record(message))
        return records

    def close(self):
        self.consumer.close()


class Membership(base.Membership):
    def __init__(self, config, topics):
        super().__init__()
        self.consumer = ck.Consumer(config)
        names = lambda partitions: [(p.topic, p.partition) for p in partitions]
        revoked = lambda _, partitions: self.revoked(names(partitions))
        self.consumer.subscribe(
            topics, on_assign=lambda _, partitions: self.assigned(names(partitions)), on_revoke=revoked, on_lost=revoked)

    def poll(self, timeout_s):
        for _ in range(1000):
            message = self.consumer.poll(timeout_s)
            if message is None:
                return
            error = message.error()
            if error is None:
                self.received([record(message)])
            elif error.fatal() or not (error.retriable() or error.code() in TRANSIENT):
                raise ck.KafkaException(error)
            timeout_s = 0

    def commit(self, offsets):
        partitions = [ck.TopicPartition(t, p, o) for (t, p), o in offsets.items()]
        for p in self.consumer.commit(offsets=partitions, asynchronous=False):
            if p.error:
                raise ck.KafkaException(p.error)

    def close(self):
        self.consumer.close()


# What librdkafka tells of and gets over by itself.
TRANSIENT = {
    ck.KafkaError._TRANSPORT,
    ck.KafkaError._ALL_BROKERS_DOWN,
    ck.KafkaError._TIMED_OUT,
    ck.KafkaError._PARTITION_EOF,
    ck.KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class Load:
    """Sends numbered records at a rate until it is told to stop, and writes down each acknowledgement."""

    def __init__(self, config, name, topic, partitions, rate, path):
        self.producer = ck.Producer(config)
        self.name, self.topic, self.partitions, self.rate = name, topic, partitions, rate
        self.out = open(path, "w")
        self.sent = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        began = time.monotonic()
        while not self.ending.is_set():
            due = int((time.monotonic() - began) * self.rate)
            while self.sent < due and not self.ending.is_set():
                try:
                    self._one(self.sent)
                    self.sent += 1
                except BufferError:
                    self.producer.poll(0.01)
            self.producer.poll(0.001)
            self.out.flush()

    def _one(self, n):
        def told(error, message):
            at = time.time_ns() // 1000
            if error:
                self.out.write("%d %d -1 %d %s\n" % (n, n % self.partitions, at, str(error).replace("\n", " ")))
            elif message.offset() is None:
                # librdkafka takes a batch that the broker knows no more for delivered, at an offset that nobody tells.
                self.out.write("%d %d -2 %d\n" % (n, n % self.partitions, at))
            else:
                self.out.write("%d %d %d %d\n" % (n, message.partition(), message.offset(), at))

        value = ("%s %d " % (self.name, n)).ljust(100, "x").encode()
        self.producer.produce(self.topic, value=value, partition=n % self.partitions, on_delivery=told)

    def stop(self):
        self.ending.set()
        self.thread.join()
        left = self.producer.flush(55)
        self.out.close()
        if left:
            raise TimeoutError("%d records are still on the way" % left)
        return self.sent


class Driver(base.Driver):
    load = None

    def __init__(self, bootstrap, name):
        super().__init__(bootstrap, name)
        self.admin = admin.AdminClient(self.config())

    def config(self, **more):
        config = {"bootstrap.servers": self.bootstrap, "client.id": self.name}
        config.update({k.replace("_", "."): v for k, v in more.items() if v is not None})
        return config

    def version(self):
        return ck.version() if isinstance(ck.version(), str) else ck.version()[0]

    def runtime(self):
        return super().runtime() + ", librdkafka " + ck.libversion()[0]

    def results(self, futures):
        return {k: f.result(base.TIMEOUT_S) for k, f in futures.items()}

    def op_create_topic(self, topic, partitions, replicas, configs=None):
        wanted = admin.NewTopic(topic, partitions, replicas, config=configs or {})
        self.results(self.admin.create_topics([wanted]))

    def op_delete_topic(self, topic):
        self.results(self.admin.delete_topics([topic]))

    def producer(self, codec, idempotent):
        return ck.Producer(self.config(
            compression_type=codec, enable_idempotence=idempotent, linger_ms=5, message_max_bytes=10_000_000,
            queue_buffering_max_messages=1_000_000, queue_buffering_max_kbytes=1 << 18))

    def op_load(self, name, topic, partitions, rate, path, request_timeout_ms=None):
        config = self.config(enable_idempotence=True, client_id=name)
        if request_timeout_ms:
            config["request.timeout.ms"] = config["socket.timeout.ms"] = request_timeout_ms
        self.load = Load(config, name, topic, partitions, rate, path)

    def op_load_stop(self):
        load, self.load = self.load, None
        return {"sent": load.stop()}

    def flush(self, producer, failures):
        if producer.flush(60):
            raise TimeoutError("records are still on the way after a minute")
        if failures:
            raise ck.KafkaException(failures[0])

    def op_produce(self, topic, records, codec="none", idempotent=None):
        producer = self.producer(codec, idempotent)
        offsets, failures = [None] * len(records), []

        def delivered(i):
            def told(error, message):
                if error:
                    failures.append(error)
                else:
                    offsets[i] = [message.partition(), message.offset()]
            return told

        for i, r in enumerate(records):
            fields = {} if r.get("partition") is None else {"partition": r["partition"]}
            if r.get("timestamp") is not None:
                fields["timestamp"] = r["timestamp"]
            producer.produce(
                topic, value=base.decode(r.get("value")), key=base.decode(r.get("key")),
                headers=[(k, base.decode(v)) for k, v in r.get("headers") or []], on_delivery=delivered(i), **fields)
        self.flush(producer, failures)
        return {"offsets": offsets}

    def op_produce_file(self, topic, path, codec="none", partition=None):
        producer = self.producer(codec, None)
        fields = {} if partition is None else {"partition": partition}
        count, failures = 0, []
        told = lambda error, _: error and failures.append(error)
        for line in base.lines(path):
            while True:
                try:
                    producer.produce(topic, value=line, on_delivery=told, **fields)
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            if count % 1000 == 0:
                producer.poll(0)
        self.flush(producer, failures)
        return {"count": count}

    def consumer(self, group="unused", **more):
        return ck.Consumer(self.config(
            group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", fetch_wait_max_ms=100, **more))

    def position(self, consumer, topic, partition, start):
        if isinstance(start, str):
            low, high = consumer.get_watermark_offsets(ck.TopicPartition(topic, partition), timeout=base.TIMEOUT_S)
            return low if start == "start" else high
        kind, value = start
        if kind == "offset":
            return value
        offset = self.by_time(consumer, topic, partition, value)
        return self.position(consumer, topic, partition, "end") if offset is None else offset

    def by_time(self, consumer, topic, partition, time):
        asked = ck.TopicPartition(topic, partition, time)
        told = consumer.offsets_for_times([asked], timeout=base.TIMEOUT_S)[0]
        if told.error:
            raise ck.KafkaException(told.error)
        return told.offset if told.offset >= 0 else None

    def open_reader(self, topic, partitions, start):
        consumer = self.consumer()
        positions = [self.position(consumer, topic, p, start) for p in partitions]
        consumer.assign([ck.TopicPartition(topic, p, o) for p, o in zip(partitions, positions)])
        return Reader(consumer), positions[0]

    def new_membership(self, group, topics, instance_id, session_timeout_ms, assignor, client_id):
        if assignor == "sticky":
            raise base.Unsupported("librdkafka has range, roundrobin and cooperative-sticky")
        heartbeat = base.heartbeat_ms(session_timeout_ms) if session_timeout_ms else None
        return Membership(self.config(
            client_id=client_id, group_id=group, group_instance_id=instance_id, session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=heartbeat, partition_assignment_strategy=assignor, auto_offset_reset="earliest",
            enable_auto_commit=False, fetch_wait_max_ms=100), topics)

    def op_committed(self, group, topic, partitions):
        wanted = ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, p) for p in partitions])
        told = self.results(self.admin.list_consumer_group_offsets([wanted]))[group].topic_partitions
        offsets = {}
        for p in told:
            if p.error:
                raise ck.KafkaException(p.error)
            offsets[p.partition] = p.offset if p.offset >= 0 else None
        return {"offsets": [offsets.get(p) for p in partitions]}

    def op_offset_for_time(self, topic, partition, time):
        consumer = self.consumer()
        try:
            return {"offset": self.by_time(consumer, topic, partition, time)}
        finally:
            consumer.close()

    def op_describe_config(self, topic):
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic)
        entries = self.results(self.admin.describe_configs([resource]))[resource]
        return {"configs": {name: entry.value for name, entry in entries.items()}}

    def op_alter_config(self, topic, set=None, delete=None):
        operation = admin.AlterConfigOpType
        entries = [admin.ConfigEntry(k, v, incremental_operation=operation.SET) for k, v in (set or {}).items()]
        entries += [admin.ConfigEntry(k, None, incremental_operation=operation.DELETE) for k in delete or []]
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        self.results(self.admin.incremental_alter_configs([resource]))

    def op_delete_records(self, topic, offsets):
        partitions = [ck.TopicPartition(topic, int(p), o) for p, o in offsets.items()]
        told = self.results(self.admin.delete_records(partitions))
        return {"low": {str(p.partition): deleted.low_watermark for p, deleted in told.items()}}

    def op_list_groups(self):
        listing = self.admin.list_consumer_groups().result(base.TIMEOUT_S)
        if listing.errors:
            raise listing.errors[0]
        return {"groups": [g.group_id for g in listing.valid]}

    def op_describe_group(self, group):
        told = self.results(self.admin.describe_consumer_groups([group]))[group]
        return {"state": GROUP_STATES[told.state.name], "members": [m.client_id for m in told.members]}
