"""Drives one of the Python clients for the tests: requests as JSON lines on stdin, answers as JSON lines on stdout.

../README.md holds the protocol. base.py has what the clients share, and each client has one file.
"""

import argparse
import importlib
import json
import logging
import sys
import traceback

from base import Unsupported

CLIENTS = {
    "confluent-kafka": "confluent_client",
    "kafka-python": "kafka_python_client",
    "aiokafka": "aiokafka_client",
}


def answer(driver, request):
    operation = getattr(driver, "op_" + request["op"], None)
    if operation is None:
        return {"ok": False, "error": "no such op", "unsupported": True}
    fields = {k: v for k, v in request.items() if k not in ("id", "op")}
    try:
        return {"ok": True, **(operation(**fields) or {})}
    except Unsupported as e:
        return {"ok": False, "error": str(e), "unsupported": True}
    except Exception as e:  # whatever the library throws belongs to the test
        traceback.print_exc()
        return {"ok": False, "error": f"{type(e).__name__}: {e}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--client", required=True, choices=CLIENTS)
    args = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not get between the answers

    def say(message):
        out.write(json.dumps(message, separators=(",", ":")) + "\n")
        out.flush()

    driver = importlib.import_module(CLIENTS[args.client]).Driver(args.bootstrap, args.client)
    say({
        "ready": True,
        "client": args.client,
        "version": driver.version(),
        "runtime": driver.runtime(),
    })
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "quit":
            say({"id": request["id"], "ok": True})
            break
        say({"id": request["id"], **answer(driver, request)})
    driver.close()


if __name__ == "__main__":
    main()
