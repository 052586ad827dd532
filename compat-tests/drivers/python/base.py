"""What the drivers of all Python clients share: bytes in JSON, readers, files, the membership of a group."""

import base64
import queue
import sys
import threading
import time
import traceback

# How long one request of a client may take before the driver gives up.
TIMEOUT_S = 30

# The most records that one answer of a member holds.
MEMBER_RECORDS = 2000


def heartbeat_ms(session_timeout_ms):
    """How often a member sends a heartbeat: it hears of a rebalance with its next one."""
    return min(session_timeout_ms // 3, 3000)


class Unsupported(Exception):
    """The library has no such call."""


def encode(value):
    return None if value is None else base64.b64encode(value).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


class Record:
    """A record of any of the clients."""

    __slots__ = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")

    def __init__(self, topic, partition, offset, timestamp, key, value, headers):
        self.topic, self.partition, self.offset, self.timestamp = topic, partition, offset, timestamp
        self.key, self.value, self.headers = key, value, headers

    def json(self):
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp,
            "key": encode(self.key),
            "value": encode(self.value),
            "headers": [[name, encode(value)] for name, value in self.headers or []],
        }


class Reader:
    """A consumer with assigned partitions and no group. A subclass opens one and defines poll and close."""

    def poll(self, timeout_s, most):
        """Give up to `most` records, or fewer when the time is over."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def read(self, most, timeout_ms):
        deadline = time.monotonic() + timeout_ms / 1000
        records = []
        while len(records) < most:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            records += self.poll(min(left, 0.5), most - len(records))
        return records


class Membership:
    """One member of a group, polled by a thread of its own, on which everything that the consumer does happens.

    A subclass defines poll, commit and close, and calls assigned, revoked (or replaced) and received.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.assignment = set()
        self.rebalances = 0
        self.pending = []  # received and not returned yet
        self.offsets = {}  # what is returned of the partitions held: (topic, partition) -> next offset
        self.failure = None
        self.jobs = queue.Queue()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def poll(self, timeout_s):
        raise NotImplementedError

    def commit(self, offsets):
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def start(self):
        self.thread.start()

    def _run(self):
        while True:
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                job = None
            if job is not None:
                if job():
                    return
                continue
            try:
                self.poll(0.05)
            except Exception as e:  # told by the next answer
                traceback.print_exc()
                self.failed(e)
                time.sleep(0.05)

    def assigned(self, partitions):
        with self.lock:
            self.assignment |= set(partitions)
            self.rebalances += 1

    def revoked(self, partitions):
        """Forget what came from these partitions: whoever holds them next begins at what is committed."""
        gone = set(partitions)
        with self.lock:
            self.assignment -= gone
            self.pending = [r for r in self.pending if (r.topic, r.partition) not in gone]
            for partition in gone:
                self.offsets.pop(partition, None)

    def replaced(self, partitions):
        """The same for a client that keeps its positions in the partitions that it gets again."""
        with self.lock:
            gone = self.assignment - set(partitions)
        self.revoked(gone)
        self.assigned(partitions)

    def received(self, records):
        with self.lock:
            self.pending += records

    def failed(self, e):
        with self.lock:
            self.failure = f"{type(e).__name__}: {e}"

    def state(self):
        with self.lock:
            records, self.pending = self.pending[:MEMBER_RECORDS], self.pending[MEMBER_RECORDS:]
            failure, self.failure = self.failure, None
            for r in records:
                if (r.topic, r.partition) in self.assignment:
                    self.offsets[(r.topic, r.partition)] = r.offset + 1
            return {
                "assignment": sorted([t, p] for t, p in self.assignment),
                "records": [r.json() for r in records],
                "rebalances": self.rebalances,
                "error": failure,
            }

    def commit_returned(self):
        def job():
            with self.lock:
                offsets = dict(self.offsets)
            if offsets:
                self.commit(offsets)
            return sorted([t, p, o] for (t, p), o in offsets.items())

        return {"offsets": self._on_thread(job)}

    def leave(self):
        self._on_thread(self.close, last=True)
        self.thread.join(TIMEOUT_S)

    def _on_thread(self, work, last=False):
        done = queue.Queue()

        def job():
            try:
                done.put((work(), None))
            except Exception as e:
                done.put((None, e))
            return last

        self.jobs.put(job)
        result, failure = done.get(timeout=2 * TIMEOUT_S)
        if failure:
            raise failure
        return result


def lines(path):
    with open(path, "rb") as f:
        for line in f:
            yield line[:-1] if line.endswith(b"\n") else line


class Driver:
    """The ops that are the same for all clients. A subclass has the client's own."""

    def __init__(self, bootstrap, name):
        self.bootstrap, self.name = bootstrap, name
        self.readers = {}
        self.last_reader = 0
        self.membership = None

    def version(self):
        raise NotImplementedError

    def runtime(self):
        return "Python %d.%d.%d" % sys.version_info[:3]

    def open_reader(self, topic, partitions, start):
        """Give a Reader and the position of its first partition. start: "start", "end", ("offset", n), ("time", ms)."""
        raise NotImplementedError

    def new_membership(self, group, topics, instance_id, session_timeout_ms, assignor, client_id):
        raise NotImplementedError

    def close(self):
        for reader in self.readers.values():
            reader.close()
        if self.membership:
            self.membership.leave()

    def op_open_reader(self, topic, partition, **fields):
        start = fields["from"]
        if isinstance(start, dict):
            start = next(iter(start.items()))
        reader, position = self.open_reader(topic, [partition], start)
        self.last_reader += 1
        self.readers[self.last_reader] = reader
        return {"reader": self.last_reader, "position": position}

    def op_read(self, reader, max, timeout_ms):
        return {"records": [r.json() for r in self.readers[reader].read(max, timeout_ms)]}

    def op_close_reader(self, reader):
        self.readers.pop(reader).close()

    def op_consume_file(self, topic, ends, path):
        waiting = {p for p, end in enumerate(ends) if end > 0}
        count = 0
        if not waiting:
            open(path, "wb").close()
            return {"count": 0}
        reader, _ = self.open_reader(topic, sorted(waiting), "start")
        try:
            with open(path, "wb") as out:
                while waiting:
                    for r in reader.poll(1, 10000):
                        if r.offset >= ends[r.partition]:
                            continue
                        out.write(b"%d\t%s\n" % (r.partition, r.value or b""))
                        count += 1
                        if r.offset + 1 >= ends[r.partition]:
                            waiting.discard(r.partition)
        finally:
            reader.close()
        return {"count": count}

    def op_join(self, group, topics, instance_id=None, session_timeout_ms=None, assignor=None, client_id=None):
        if self.membership:
            raise ValueError("one membership per driver")
        client_id = client_id or self.name
        self.membership = self.new_membership(group, topics, instance_id, session_timeout_ms, assignor, client_id)
        self.membership.start()

    def op_member(self):
        return self._member().state()

    def op_member_commit(self):
        return self._member().commit_returned()

    def op_leave(self):
        member, self.membership = self._member(), None
        member.leave()

    def _member(self):
        if not self.membership:
            raise ValueError("not joined")
        return self.membership
